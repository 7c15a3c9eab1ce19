"""``gpio:CHIP/LINE`` switches a relay, a valve or a lamp."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_sdk.blocks import boottime_s
from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, Fatal, MissingExtraError, Rejected, Retry, one_line
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Level = Literal["low", "high", "input"]


class Sink(Closing):
    """Active while predictions come: those that pass the sink's ``when``.

    Each fresh one makes the line active for `hold_s` more, or, with `pulse_s`, for one pulse that further
    ones do not lengthen. What is older than `max_age_s` is refused, not acted on. The time is kept here: a
    pipeline that hangs does not hold the line active. In its safe state the line is before the first
    prediction, when the predictions stop, when anything fails, and at the end.

    After ``kill -9`` or a crash the kernel releases the line, and nobody promises its level: docs/board.md
    says what to do on the board.

    Args:
        location: the chip and one of its lines, each by number or name: ``gpiochip0/17``, ``0/GPIO17``,
            ``pinctrl-rp1/GPIO17``.
        active_low: active is the low level.
        hold_s: how long the line stays active after the last prediction, s; default: `max_age_s`.
        pulse_s: how long a pulse is, s; instead of `hold_s`.
        safe: level of the safe state, ``low``, ``high``, or ``input``: not driven; default: not active.
        max_age_s: how old what a prediction says may be, s.
    """

    delivery: Delivery = "actuator"

    def __init__(
        self,
        location: str,
        *,
        active_low: bool = False,
        hold_s: Seconds | None = None,
        pulse_s: Seconds | None = None,
        safe: Level | None = None,
        max_age_s: Seconds = 2.0,
    ) -> None:
        self.preflight(location, None, hold_s=hold_s, pulse_s=pulse_s)
        self.max_age_s = max_age_s
        #: For how long the line is active by itself after a prediction, s.
        self.holds_s = pulse_s or hold_s or max_age_s
        self._pulse = pulse_s is not None
        self._line = Line(location, active_low, safe or ("high" if active_low else "low"))
        self._lock = threading.Condition()
        #: Monotonic time at which the line stops being active; None while it is not.
        self._until_s: float | None = None
        self._failure: OSError | None = None
        self._closed = False
        self._watch = threading.Thread(target=self._end_in_time, name=f"gpio {location}", daemon=True)
        self._watch.start()

    @classmethod
    def preflight(cls, location: str, wanted: Any, **options: Any) -> None:
        """See that the options go together, as `edgeml check` does."""
        chip, slash, line = location.rpartition("/")
        if not (chip and slash and line):
            raise ConfigError(f"gpio:{location}", expected="gpio:CHIP/LINE, such as gpio:gpiochip0/17")
        if options.get("hold_s") and options.get("pulse_s"):
            raise ConfigError(f"gpio:{location}", expected="hold_s or pulse_s", found="both")

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Make the line active.

        Raises:
            Rejected: one of them is too old to act on.
            Retry: the line cannot be set.
        """
        now_s = boottime_s()
        for prediction in predictions:
            if now_s - prediction.time_s > self.max_age_s:
                raise Rejected(
                    f"gpio:{self._line.location}: too old to act on",
                    expected=f"at most {self.max_age_s:g} s",
                    found=f"{now_s - prediction.time_s:.1f} s",
                )
        with self._lock:
            self._check()
            if self._pulse and self._until_s is not None:
                self._do(self._line.check)
                return
            self._do(self._line.activate)
            self._until_s = time.monotonic() + self.holds_s
            self._lock.notify()

    def safe(self) -> None:
        """Go to the safe state now."""
        with self._lock:
            self._until_s = None
            self._do(self._line.make_safe)

    def idle(self) -> None:
        """See that the line is still there.

        Raises:
            Retry: it is not, or it could not be switched off in time.
        """
        with self._lock:
            self._check()
            self._do(self._line.check)

    def close(self) -> None:
        """Go to the safe state and release the line; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed, self._until_s = True, None
            self._lock.notify()
            self._line.release()
        if threading.current_thread() is not self._watch:
            self._watch.join()

    def _end_in_time(self) -> None:
        """Switch the line off when its time is over, whatever the pipeline does."""
        with self._lock:
            while not self._closed:
                left_s = None if self._until_s is None else self._until_s - time.monotonic()
                if left_s is None or left_s > 0:
                    self._lock.wait(left_s)
                    continue
                self._until_s = None
                try:
                    self._line.deactivate()
                except OSError as error:
                    self._failure = error

    def _check(self) -> None:
        if self._closed:
            raise Retry(f"gpio:{self._line.location}: closed")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise self._lost(failure) from failure

    def _do(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            self._until_s = None
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> Retry:
        return Retry(f"gpio:{self._line.location}: the line is lost", found=_reason(error))


class Line:
    """One output line that this process holds, in its safe state at first.

    Raises:
        MissingExtraError: gpiod is not installed.
        Fatal: no such line on the chip, or this user may not use it.
        Retry: no such chip now, or another program holds the line.
    """

    def __init__(self, location: str, active_low: bool, safe: Level) -> None:
        try:
            import gpiod
            from gpiod.line import Direction, Value
        except ModuleNotFoundError as error:
            raise MissingExtraError("sink 'gpio'", "gpio", error.name) from error
        self.location = location
        chip, _, line = location.rpartition("/")

        def driven(active: bool) -> Any:
            value = Value.ACTIVE if active else Value.INACTIVE
            return gpiod.LineSettings(direction=Direction.OUTPUT, active_low=active_low, output_value=value)

        self._active, self._inactive = driven(True), driven(False)
        self._safe = (
            gpiod.LineSettings(direction=Direction.INPUT, active_low=active_low)
            if safe == "input"
            else driven((safe == "high") is not active_low)
        )
        try:
            with gpiod.Chip(_device(gpiod, chip)) as opened:
                self._offset = opened.line_offset_from_id(int(line) if line.isdecimal() else line)
                self._request = opened.request_lines({self._offset: self._safe}, consumer="edgeml")
        except (OSError, ValueError) as error:
            raise self._verdict(error) from error

    def activate(self) -> None:
        """Drive the active level."""
        self._request.reconfigure_lines({self._offset: self._active})

    def deactivate(self) -> None:
        """Drive the other one."""
        self._request.reconfigure_lines({self._offset: self._inactive})

    def make_safe(self) -> None:
        """Drive the safe level, or none."""
        self._request.reconfigure_lines({self._offset: self._safe})

    def check(self) -> None:
        """Read the line back, which fails where the chip is gone."""
        self._request.get_value(self._offset)

    def release(self) -> None:
        """Go to the safe state as far as possible, and let go."""
        try:
            self.make_safe()
        except OSError:
            pass  # the chip is gone: there is nothing left to switch
        finally:
            self._request.release()

    def _verdict(self, error: OSError | ValueError) -> DeviceError:
        where = f"gpio:{self.location}"
        if isinstance(error, DeviceError):
            return error
        if isinstance(error, PermissionError):
            group = "add yourself to the group that owns it: sudo usermod -aG gpio $USER"
            return Fatal(where, found=_reason(error), remedy=group)
        if isinstance(error, ValueError) or error.errno in (errno.EINVAL, errno.ENOENT):
            return Fatal(f"{where}: no such line", remedy="gpioinfo lists the lines of each chip")
        remedy = "gpioinfo says which program holds it" if error.errno == errno.EBUSY else None
        return Retry(f"{where}: cannot be had", found=_reason(error), remedy=remedy)


def _device(gpiod: Any, chip: str) -> str:
    """The device file of a chip by number, name, label or path."""
    if chip.isdecimal():
        chip = f"gpiochip{chip}"
    path = chip if chip.startswith("/") else f"/dev/{chip}"
    if gpiod.is_gpiochip_device(path):
        return path
    labels = {}
    for node in sorted(str(found) for found in Path("/dev").glob("gpiochip*")):
        try:
            with gpiod.Chip(node) as opened:
                labels[opened.get_info().label] = node
        except OSError:
            continue
    if chip in labels:
        return labels[chip]
    there = ", ".join(f"{Path(node).name} ({label})" for label, node in labels.items())
    raise Retry(f"gpio: no chip {chip!r}", found=there or "no GPIO chip at all")


def _reason(error: Exception) -> str:
    number: int | None = getattr(error, "errno", None)
    return one_line(error) if number is None else os.strerror(number)
