"""What a core of an emulated MPS2 board sees beside its memory: a UART and a timer of Arm's CMSDK.

Only what firmware needs to talk and to measure; there are no interrupts, and no time passes on the line.
"""

from __future__ import annotations

from collections.abc import Callable

#: Registers of the UART, and bits of its STATE.
_DATA, _STATE = 0x00, 0x04
_RX_FULL = 2
#: Registers of the timer.
_CONTROL, _VALUE, _RELOAD = 0x00, 0x04, 0x08
_WORD = 0xFFFFFFFF


class Uart:
    """A UART that always has room to send, and whose line holds whatever was written to it.

    Args:
        pause: stops the core, which repeats the access that it was stopped in when it runs again. Called only
            while STATE is read, because to read DATA twice, or to write it twice, is not the same as once.

    Attributes:
        sent: what the core sent and nobody took yet.
        hurry: pause the core as soon as it asks for STATE.
        polled: the core was paused because it asked again and again in vain whether something came.
    """

    #: A core that asks so often in a row has little else to do.
    _PATIENCE = 16

    def __init__(self, pause: Callable[[], None]) -> None:
        self.sent = bytearray()
        self.hurry = self.polled = False
        self._pause = pause
        self._line = bytearray()
        self._at = self._asked = 0

    @property
    def waiting(self) -> int:
        """Bytes that the core has not read yet."""
        return len(self._line) - self._at

    def feed(self, data: bytes) -> None:
        """Bytes for the core to read."""
        del self._line[: self._at]
        self._at = 0
        self._line += data

    def reset(self) -> None:
        """As after a reset of the board: nothing waits on either side."""
        self._line.clear()
        self.sent.clear()
        self._at = self._asked = 0

    def read(self, offset: int) -> int:
        """The core reads a register."""
        if offset == _STATE:
            has_come = self._at < len(self._line)
            self._asked = 0 if has_come else self._asked + 1
            if self._asked >= self._PATIENCE:
                self._asked, self.polled = 0, True
                self._pause()
            elif self.hurry:
                self._pause()
            return _RX_FULL if has_come else 0
        if offset == _DATA and self._at < len(self._line):
            self._at += 1
            return self._line[self._at - 1]
        return 0

    def write(self, offset: int, value: int) -> None:
        """The core writes a register."""
        if offset == _DATA:
            self._asked = 0
            self.sent.append(value & 0xFF)


class Timer:
    """A timer of 32 bits that counts down.

    Args:
        clock: its ticks, which go up forever.

    Attributes:
        looks: how often the core has read it.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.looks = 0
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """As after a reset of the board: it stands at 0."""
        self._value = self._reload = self._since = 0
        self._runs = False

    def read(self, offset: int) -> int:
        """The core reads a register."""
        self.looks += 1
        if offset == _VALUE:
            return self._now()
        return {_CONTROL: int(self._runs), _RELOAD: self._reload}.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """The core writes a register."""
        if offset == _RELOAD:
            self._reload = value & _WORD
            return
        if offset not in (_CONTROL, _VALUE):
            return
        self._value = value & _WORD if offset == _VALUE else self._now()
        self._runs = bool(value & 1) if offset == _CONTROL else self._runs
        self._since = self._clock()

    def _now(self) -> int:
        passed = self._clock() - self._since if self._runs else 0
        if passed <= self._value:
            return self._value - passed
        return self._reload - (passed - self._value - 1) % (self._reload + 1)
