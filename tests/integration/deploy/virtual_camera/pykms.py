"""Screens, which no index and no Debian has a module for: Picamera2 wants these names when it is imported."""

from types import SimpleNamespace

_NAMES = ("RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "YVU420", "NV12", "ABGR8888")
PixelFormat = SimpleNamespace(**{name: name for name in _NAMES})
