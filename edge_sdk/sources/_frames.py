"""What a camera's buffer holds, as a picture: bytes, in the model's colours and at the model's size."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError, SpecError, one_line
from edge_sdk.recordings import png

#: Where red, green and blue lie in memory. libcamera names a format after the word that a little-endian
#: processor reads, so that its ``BGR888`` begins with red.
_FORWARDS, _BACKWARDS = slice(0, 3), slice(2, None, -1)
_COLOURS = {"BGR888": _FORWARDS, "RGB888": _BACKWARDS, "XBGR8888": _FORWARDS, "XRGB8888": _BACKWARDS}
#: Luma and the two chromas of four bytes, which are two pixels.
_PACKED = {"YUYV": (0, 1, 3), "YVYU": (0, 3, 1), "UYVY": (1, 0, 2), "VYUY": (1, 2, 0)}


@dataclass(frozen=True)
class Wanted:
    """What a picture shall be.

    Attributes:
        width: pixels.
        height: pixels.
        gray: one channel instead of red, green and blue.
        crop: part of the camera's picture, as shares of it: x and y of its corner, width, height; None for
            the largest part of the wanted proportions.
    """

    width: int
    height: int
    gray: bool = False
    crop: tuple[float, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a picture."""
        return self.height, self.width, 1 if self.gray else 3


@dataclass(frozen=True)
class Layout:
    """What a camera's buffer is.

    Attributes:
        pixels: libcamera's name of the format.
        width: pixels.
        height: pixels.
        stride: bytes of a row with its padding; of the luma where there are planes.
        limited: luma goes from 16 to 235 instead of 0 to 255.
        mirrored: its left is the right of what is wanted.
        upside_down: its top is the bottom of what is wanted.
    """

    pixels: str
    width: int
    height: int
    stride: int
    limited: bool = False
    mirrored: bool = False
    upside_down: bool = False


def picture(buffer: NDArray[np.uint8], layout: Layout, wanted: Wanted) -> NDArray[np.uint8]:
    """One frame.

    Args:
        buffer: uint8 [bytes], as the camera wrote it.
        layout: of it.
        wanted: where it already is of this size, and not to be cropped, nothing is scaled.

    Returns:
        uint8 [height, width, channels].

    Raises:
        ConfigError: a format that is not known here.
        SpecError: it arrived damaged.
    """
    image = png.pillow
    if layout.pixels in _COLOURS or layout.pixels == "MJPEG":
        pixels = _rgb(buffer, layout)
        if wanted.gray:
            pixels = np.asarray(image().fromarray(pixels).convert("L"))
        return _scaled(pixels, layout, wanted).reshape(wanted.shape)
    # Scaled first: of a large picture, colours are what takes the time.
    planes = _planes(buffer, layout)[: 1 if wanted.gray else 3]
    if layout.limited:
        planes = [_whole_range(plane, 224 if at else 219) for at, plane in enumerate(planes)]
    planes = [_scaled(plane, layout, wanted) for plane in planes]
    if wanted.gray:
        return planes[0].reshape(wanted.shape)
    return np.asarray(image().merge("YCbCr", [image().fromarray(plane) for plane in planes]).convert("RGB"))


def corners(whole: Layout, wanted: Wanted) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is taken of a whole picture, pixels."""
    if wanted.crop is not None:
        x, y, across, down = wanted.crop
        left, top, right, bottom = x, y, min(x + across, 1.0), min(y + down, 1.0)
        return left * whole.width, top * whole.height, right * whole.width, bottom * whole.height
    scale = min(whole.width / wanted.width, whole.height / wanted.height)
    aside = max(0.0, whole.width - scale * wanted.width) / 2  # a rounding may make it less than nothing
    above = max(0.0, whole.height - scale * wanted.height) / 2
    return aside, above, whole.width - aside, whole.height - above


def _scaled(pixels: NDArray[np.uint8], layout: Layout, wanted: Wanted) -> NDArray[np.uint8]:
    """The wanted part of a picture, or of a plane of it that may have fewer pixels, in the wanted size."""
    turned = pixels[:: -1 if layout.upside_down else 1, :: -1 if layout.mirrored else 1]
    height, width = pixels.shape[:2]
    size = wanted.width, wanted.height
    if (width, height) == (layout.width, layout.height) == size and wanted.crop is None:
        return np.ascontiguousarray(turned)
    left, top, right, bottom = corners(layout, wanted)
    across, down = width / layout.width, height / layout.height
    box = left * across, top * down, right * across, bottom * down
    whole, how = png.pillow().fromarray(np.ascontiguousarray(turned)), png.pillow().Resampling.BILINEAR
    return np.asarray(whole.resize(size, how, box=box))


def _rgb(buffer: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]."""
    if layout.pixels == "MJPEG":
        try:
            with png.pillow().open(io.BytesIO(buffer.tobytes()), formats=["JPEG"]) as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:  # of Pillow's, for what no JPEG looks like
            raise SpecError("a picture", expected="a whole JPEG", found=one_line(error)) from error
    bytes_each = 4 if layout.pixels.startswith("X") else 3
    rows = _rows(buffer, layout.stride)[: layout.height, : layout.width * bytes_each]
    pixels = rows.reshape(layout.height, layout.width, bytes_each)
    return np.ascontiguousarray(pixels[..., _COLOURS[layout.pixels]])


def _planes(buffer: NDArray[np.uint8], layout: Layout) -> list[NDArray[np.uint8]]:
    """Luma [height, width] and both chromas, which have half the columns, or half the rows as well."""
    name, width, height = layout.pixels, layout.width, layout.height
    rows = _rows(buffer, layout.stride)
    luma = rows[:height, :width]
    if name in _PACKED:
        pairs = rows[:height, : 2 * width].reshape(height, width // 2, 4)
        y, cb, cr = _PACKED[name]
        # Of two pixels, luma is every other byte.
        return [pairs[..., y % 2 :: 2].reshape(height, width), pairs[..., cb], pairs[..., cr]]
    if name in ("NV12", "NV21"):
        both = rows[height : height * 3 // 2, :width]
        chromas = [both[:, 0::2], both[:, 1::2]]
        return [luma, *(chromas if name == "NV12" else chromas[::-1])]
    if name in ("YUV420", "YVU420"):
        halves = _rows(buffer[height * layout.stride :], layout.stride // 2)[:height, : width // 2]
        chromas = [halves[: height // 2], halves[height // 2 :]]
        return [luma, *(chromas if name == "YUV420" else chromas[::-1])]
    raise ConfigError(
        f"pixels of the format {name}",
        expected=", ".join((*_COLOURS, *_PACKED, "NV12", "NV21", "YUV420", "YVU420", "MJPEG")),
    )


def _rows(buffer: NDArray[np.uint8], stride: int) -> NDArray[np.uint8]:
    """uint8 [rows, stride]; what is behind the last whole row is left out."""
    count = len(buffer) // stride
    return buffer[: count * stride].reshape(count, stride)


def _whole_range(plane: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """From 16 and so many steps to 0 and 255; a chroma keeps its middle."""
    middle = 128 if steps == 224 else 16
    values = (np.arange(256) - middle) * (255 / steps) + (middle if steps == 224 else 0)
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    stretched: NDArray[np.uint8] = table[plane]
    return stretched
