"""The global heaps of an HDF5 file, where texts lie: libhdf5 1.14 never leaves one whose sizes are damaged.

A heap is ``GCOL``, a version, its size, and objects one after the other: index, references, size, content. A
size that wraps around, or a free space of none, and the library steps on the spot for ever.

Source: HDF5 File Format Specification 3.0, III.E.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_SIGNATURE, _VERSION = b"GCOL", b"\1\0\0\0"
_HEADER, _OBJECT = 16, 16
#: Far more than texts take; the library's own are of 4 KiB.
_MOST_BYTES = 64 << 20
_BLOCK = 1 << 20


def are_whole(file: BinaryIO) -> bool:
    """Whether every global heap of a file ends where it says; the file is read once, from where it stands."""
    held = b""
    while block := file.read(_BLOCK):
        held += block
        at = held.find(_SIGNATURE)
        while at >= 0:
            size = _size_of(held[at : at + _HEADER])
            if size > _MOST_BYTES:
                return False
            if at + size > len(held):
                break  # its end comes with the next block
            if not _is_whole(held[at : at + size]):
                return False
            at = held.find(_SIGNATURE, at + len(_SIGNATURE))
        held = held[at:] if at >= 0 else held[1 - len(_SIGNATURE) :]
    return True


def _size_of(header: bytes) -> int:
    """Of a heap, bytes; of weights that happen to read ``GCOL`` nothing."""
    if len(header) < _HEADER:
        return _HEADER
    return int(struct.unpack_from("<Q", header, 8)[0]) if header[4:8] == _VERSION else 0


def _is_whole(heap: bytes) -> bool:
    at = _HEADER
    while at + _OBJECT <= len(heap):
        index, size = struct.unpack_from("<H6xQ", heap, at)
        step = size if index == 0 else _OBJECT + -(-size // 8) * 8
        if step < _OBJECT or at + step > len(heap):
            return False
        at += step
    return True
