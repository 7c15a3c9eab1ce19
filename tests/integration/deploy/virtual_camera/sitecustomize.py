"""What of libcamera's virtual camera is not as Picamera2 takes every camera to be: run as Python starts.

It has no raw pictures, of which Picamera2 asks every camera for its modes; it writes luma and chroma into two
planes, where Picamera2 gives one; and it says that it flips pictures, and does not.
"""

import libcamera

_generate, _FrameBuffer = libcamera.Camera.generate_configuration, libcamera.FrameBuffer
_validate = libcamera.CameraConfiguration.validate
_ROLES = libcamera.StreamRole


def _configuration(camera, roles):
    return _generate(camera, [_ROLES.Viewfinder if role == _ROLES.Raw else role for role in roles])


def _validated(configuration):
    configuration.orientation = libcamera.Orientation.Rotate0
    return _validate(configuration)


def _frame_buffer(planes):
    (luma,) = planes
    chroma = _FrameBuffer.Plane()
    chroma.fd = luma.fd
    whole, luma.length = luma.length, luma.length * 2 // 3
    chroma.offset, chroma.length = luma.length, whole - luma.length
    return _FrameBuffer([luma, chroma])


_frame_buffer.Plane = _FrameBuffer.Plane
libcamera.Camera.generate_configuration, libcamera.FrameBuffer = _configuration, _frame_buffer
libcamera.CameraConfiguration.validate = _validated
