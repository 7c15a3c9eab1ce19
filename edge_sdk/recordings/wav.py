"""wav: PCM or float sound, as float32 −1..1."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.recordings.signal import Signal, refuse

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def read(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """PCM of 8, 16, 24 or 32 bits, or 32-bit float, as float32 −1..1.

    Read here and not by the module `wave`: before Python 3.12 that one refuses WAVE_FORMAT_EXTENSIBLE, which
    is how most programs write 24 bits, and it takes a truncated file for a short one.
    """
    del channels
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        refuse(path, "not a wav file", "RIFF … WAVE", content[:12])
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        chunks.setdefault(name, content[at + 8 : at + 8 + size])
        if len(chunks[name]) < size and name in (b"fmt ", b"data"):
            text = name.decode().strip()
            refuse(path, "truncated", f"{size} bytes of {text}", len(chunks[name]), "record or copy it again")
        at += 8 + size + size % 2
    if b"fmt " not in chunks or b"data" not in chunks:
        refuse(path, "truncated", "a fmt and a data chunk", " ".join(n.decode("latin-1") for n in chunks))
    coding, count, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if coding == _EXTENSIBLE:
        (coding,) = struct.unpack_from("<H", chunks[b"fmt "], 24)
    if (coding, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)}:
        refuse(path, "coding", "8, 16, 24, 32-bit PCM or 32-bit float", f"format {coding}, {bits} bits")
    if not count or not rate:
        refuse(path, "header", "at least one channel and a rate", f"{count} channels at {rate} Hz")
    data = chunks[b"data"]
    width = count * bits // 8
    if not data or len(data) % width:
        refuse(
            path, "data", f"a multiple of {width} bytes, at least one", len(data), "record or copy it again"
        )
    return Signal(_pcm(data, coding, bits).reshape(-1, count), float(rate))


def _pcm(data: bytes, coding: int, bits: int) -> NDArray[np.float32]:
    if coding == _FLOAT:
        return np.frombuffer(data, "<f4").astype(np.float32)
    if bits == 8:  # the only unsigned one
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / np.float32(128.0)
    if bits == 24:  # into the upper three bytes of an int32, which keeps the sign
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)
