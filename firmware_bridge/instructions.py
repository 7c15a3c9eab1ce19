"""Counts the instructions that an emulated core executes.

A hook at each instruction would cost half a microsecond a time; one at each block of code costs as much for
ten of them. A block is read once: Thumb says in the first half word whether an instruction has a second.
"""

from __future__ import annotations

import struct
from typing import Any

#: From here on, the first half word of an instruction of 32 bits; Armv7-M Architecture Reference Manual A5.1.
_WIDE = 0xE800


class InstructionCounter:
    """Of one core; counts only while it is `enabled`.

    What an IT block skips counts, as in QEMU: the core fetches and decodes it too.

    Args:
        core: of unicorn.

    Attributes:
        total: that were counted so far.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self._hook: int | None = None
        self._known: dict[tuple[int, int], int] = {}
        self.total = 0

    @property
    def enabled(self) -> bool:
        """Whether it counts; changed only while the core stands still."""
        return self._hook is not None

    @enabled.setter
    def enabled(self, wanted: bool) -> None:
        if wanted == self.enabled:
            return
        if wanted:
            from unicorn import UC_HOOK_BLOCK

            self._hook = self._core.hook_add(UC_HOOK_BLOCK, self._count)
        else:
            self._core.hook_del(self._hook)
            self._hook = None
        self._core.ctl_flush_tb()  # code that was translated before knows nothing of the hook

    def _count(self, core: Any, address: int, size: int, _: object) -> None:
        count = self._known.get((address, size))
        if count is None:
            count = self._known[address, size] = instructions_in(bytes(core.mem_read(address, size)))
        self.total += count


def instructions_in(code: bytes) -> int:
    """How many instructions there are in Thumb code.

    >>> instructions_in(bytes.fromhex("00bf aff30080 00bf"))
    3
    """
    halves = struct.unpack(f"<{len(code) // 2}H", code[: len(code) & ~1])
    count = at = 0
    while at < len(halves):
        at += 2 if halves[at] >= _WIDE else 1
        count += 1
    return count
