"""``serial:PORT`` writes predictions to a serial port: a display, a controller, a microcontroller."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import termios
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
import serial

from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.sinks._template import Template

_LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
_CSV = ("device", "sequence", "label", "score", "value", "event")
_POLL_S = 0.002


class Sink(Closing):
    """One line a prediction; delivered once it has left the machine.

    An actuator: what waited too long is not sent, and when nothing comes, or all is over, the `safe_line` is.
    It is the first thing that is sent, too, after an end of line that ends whatever was torn before.

    Args:
        location: the port, as pyserial opens it.
        baud: bits a second.
        format: ``jsonl``; ``csv``: device, sequence, label, score, value and event; ``text``: the template.
        template: of a line, with fields in braces.
        safe_line: a line that lets nothing happen; empty: none is sent.
        line_end: ``lf``, ``crlf`` or ``cr``.
        timeout_s: until a line must be out, s.
        dtr: the line DTR while the port is open: false, and many boards do not reset; default: the system's.
        rts: the line RTS likewise.
    """

    delivery: Delivery = "actuator"

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        baud: Annotated[int, msgspec.Meta(gt=0)] = 115200,
        format: Literal["jsonl", "csv", "text"] = "jsonl",  # noqa: A002 - the option's name
        template: str = "",
        safe_line: str = "",
        line_end: Literal["lf", "crlf", "cr"] = "lf",
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0,
        dtr: bool | None = None,
        rts: bool | None = None,
    ) -> None:
        self._line = _writer(location, format, template, safe_line)
        self._where, self._timeout_s = f"serial:{location}", timeout_s
        self._end, self._safe_line = _LINE_ENDS[line_end], safe_line
        self._is_safe = False
        self._port = self._opened(location, baud, dtr, rts)
        try:
            self._send(self._end)
            self.safe()
        except BaseException:
            self._port.close()
            raise

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the lines can be written, without opening the port."""
        given = {name: options.get(name, "") for name in ("template", "safe_line")}
        _writer(location, options.get("format", "jsonl"), **given)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Send them, in order.

        Raises:
            Retry: the port is gone, or what hears it did not take the lines in time.
        """
        self._is_safe = False
        self._send("".join([self._line(prediction) + self._end for prediction in predictions]))

    def safe(self) -> None:
        """Send the safe line, where nothing else was sent before; raises as `write`."""
        if self._safe_line and not self._is_safe:
            self._send(self._safe_line + self._end)
        self._is_safe = True

    def idle(self) -> None:
        """Notice a port that was unplugged; raises as `write`."""
        self._send("")

    def close(self) -> None:
        """Make it safe once more, where that is possible, and close the port; may be called twice."""
        if self._port.is_open:
            with contextlib.suppress(Retry):
                self.safe()
            with contextlib.suppress(OSError, termios.error):
                self._port.close()

    def _send(self, text: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        try:
            self._port.write(text.encode("utf-8", "replace"))
            # The system has it; the wire, or who hears it, may not want it now.
            while self._unsent():
                if time.monotonic() > deadline:
                    raise serial.SerialTimeoutException
                time.sleep(_POLL_S)
        except serial.SerialTimeoutException as error:
            with contextlib.suppress(OSError, termios.error):
                self._port.reset_output_buffer()  # or closing it would wait
            raise Retry(
                f"{self._where}: does not take it",
                expected=f"within {self._timeout_s:g} s",
                remedy="is its flow control stuck?",
            ) from error
        except (OSError, termios.error, TypeError, ValueError) as error:
            raise Retry(f"{self._where}: the connection broke", found=_cause(error)) from error

    def _unsent(self) -> int:
        """Bytes that wait in the system; raises where there is no port any more."""
        try:
            return int(self._port.out_waiting)
        except (AttributeError, io.UnsupportedOperation, NotImplementedError):  # socket://, loop://
            return 0

    def _opened(self, location: str, baud: int, dtr: bool | None, rts: bool | None) -> Any:
        try:
            port = serial.serial_for_url(
                location, do_not_open=True, baudrate=baud, timeout=0, write_timeout=self._timeout_s
            )
            for line, level in (("dtr", dtr), ("rts", rts)):
                if level is not None:
                    setattr(port, line, level)
            port.open()
        except ValueError as error:
            raise ConfigError(self._where, expected="a port that pyserial opens", found=error) from error
        except (OSError, termios.error) as error:
            remedy = "add yourself to the group that owns it: sudo usermod -aG dialout $USER"
            raise Retry(
                f"{self._where}: cannot be opened",
                found=_cause(error),
                remedy=remedy if getattr(error, "errno", None) == errno.EACCES else None,
            ) from error
        return port


def _writer(location: str, form: str, template: str, safe_line: str) -> Callable[[Prediction], str]:
    """What makes a line of a prediction.

    Raises:
        ConfigError: no port, a template without the format that uses it, more than one line.
    """
    if not location:
        raise ConfigError("serial: no port", expected="serial:PORT, such as serial:///dev/ttyACM0")
    if (form == "text") != bool(template):
        raise ConfigError(
            "serial: template and format = 'text'", expected="both or neither", found=f"format = {form!r}"
        )
    for name, text in (("template", template), ("safe_line", safe_line)):
        if not text.isprintable():
            raise ConfigError(f"serial: {name}", expected="one line of printable text", found=repr(text))
    return Template(template, "serial: template").fill if template else _csv if form == "csv" else _json


def _csv(prediction: Prediction) -> str:
    fields = prediction.as_dict()
    cells = [
        " ".join(value.splitlines()) if isinstance(value, str) else value
        for value in (fields[name] for name in _CSV)
    ]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _json(prediction: Prediction) -> str:
    return json.dumps(prediction.as_dict())


def _cause(error: Exception) -> str:
    """The system's words, without what pyserial wraps around them."""
    number = getattr(error, "errno", None) or (error.args[0] if isinstance(error, termios.error) else None)
    return os.strerror(number) if isinstance(number, int) else str(error)
