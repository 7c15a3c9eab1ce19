"""Consistent Overhead Byte Stuffing: frames without a zero byte, so that a zero ends each.

Source: Cheshire and Baker, Consistent Overhead Byte Stuffing, 1999.
"""

from __future__ import annotations

#: Bytes of a block that no zero follows.
_FULL = 254


def stuffed(body: bytes) -> bytes:
    r"""The COBS frame of some bytes, without its closing zero.

    >>> stuffed(b"\x11\x00\x22").hex(" ")
    '02 11 02 22'
    """
    frame = bytearray()
    *ended, last = body.split(b"\0")
    for part in ended:
        _append(frame, part, len(part) // _FULL)
    _append(frame, last, max(len(last) - 1, 0) // _FULL)  # a full block at the very end has nothing after it
    return bytes(frame)


def _append(frame: bytearray, part: bytes, full: int) -> None:
    """So many full blocks, and one with the rest."""
    for at in range(0, full * _FULL, _FULL):
        frame.append(_FULL + 1)
        frame += part[at : at + _FULL]
    rest = part[full * _FULL :]
    frame.append(len(rest) + 1)
    frame += rest


def unstuffed(frame: bytes) -> bytes | None:
    """The bytes in a COBS frame without its closing zero; None where it is none."""
    body, at = bytearray(), 0
    while at < len(frame):
        stop = at + frame[at]
        if stop > len(frame):
            return None
        body += frame[at + 1 : stop]
        if frame[at] < 255 and stop < len(frame):
            body.append(0)
        at = stop
    return bytes(body)
