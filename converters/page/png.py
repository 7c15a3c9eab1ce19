"""Pictures as ``data:`` addresses, written with the standard library alone."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Longer sides are thinned out: enough to recognise a picture by.
_LONGEST = 72


def address(pixels: NDArray[Any], longest: int = _LONGEST) -> str:
    """A PNG as an address that needs no network.

    Args:
        pixels: uint8 [height, width] grey, or [height, width, 3] red, green, blue.
        longest: pixels of the longer side; what is larger is thinned out.
    """
    step = -(-max(pixels.shape[:2]) // longest)
    small = np.ascontiguousarray(pixels[::step, ::step], dtype=np.uint8)
    height, width = small.shape[:2]
    colour = 2 if small.ndim == 3 else 0
    rows = small.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    parts = (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(raw, 9)),
        _chunk(b"IEND", b""),
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
