"""The live view of a recorder: what is recorded, how the signals look, how much there is of each label."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import boottime_s
from edge_sdk.errors import printable
from edge_sdk.recorder.cues import Conductor
from edge_sdk.recorder.intake import Device
from edge_sdk.recorder.recorder import Recorder
from edge_sdk.recorder.timeline import UNLABELLED
from edge_sdk.view import LiveView

if TYPE_CHECKING:
    from edge_sdk.figures import Line

_LOG = logging.getLogger("edgeml")
_DIM, _HEAD, _ON, _WRONG = "bright_black", "bold", "bold green", "bold yellow"
#: Heights of a column of a curve, lowest first.
_STEPS: Final = "▁▂▃▄▅▆▇█"
_NAME, _VALUE = 12, 11
_UNNAMED = "(no label)"


class RecorderView(LiveView):
    """Shows a recorder until it is closed; where there is no terminal, a line for each recording.

    Args:
        recorder: what to show.
        keys: labels by key.
        conductor: of a cue sheet.
        stream: the terminal.
    """

    def __init__(
        self,
        recorder: Recorder,
        keys: dict[str, str],
        conductor: Conductor | None,
        stream: TextIO | None = None,
    ) -> None:
        self._recorder, self._keys, self._conductor = recorder, keys, conductor
        super().__init__(lambda: recorder, stream)

    def _telling(self) -> Callable[[Any], None]:
        said = 0

        def tell(recorder: Recorder) -> None:
            nonlocal said
            recordings = tuple(recorder.report.recordings)
            for each in recordings[said:]:
                _LOG.info("%s: %.1f s", each.file, each.seconds)
            said = len(recordings)

        return tell

    def _picture(self) -> Any:
        def picture(recorder: Recorder, log: Sequence[str], width: int, height: int) -> list[Line]:
            return draw(recorder, self._keys, self._conductor, log, (width, height))

        return picture


def draw(
    recorder: Recorder,
    keys: dict[str, str],
    conductor: Conductor | None,
    log: Sequence[str],
    size: tuple[int, int],
) -> list[Line]:
    """The whole screen: at most so many lines of at most so many cells.

    Args:
        recorder: what to show.
        keys: labels by key.
        conductor: of a cue sheet.
        log: the newest messages, oldest first.
        size: of the terminal: cells, lines.
    """
    from edge_sdk.figures import crop

    width, height = size
    now_s = boottime_s()
    lines = [_header(recorder, now_s), []]
    if conductor is not None:
        lines += [*_cue(conductor, now_s), []]
    for device in list(recorder.devices.values()):
        lines += [*_signals(recorder, device, width), []]
    if not recorder.devices:
        lines += [[("  waiting for the first sample …", _DIM)], []]
    lines += [*_amounts(recorder, keys), []]
    if (trouble := recorder.trouble) is not None:
        lines.append([(f"  {printable(trouble)}", _WRONG)])
    lines.append([(f"  {_help(keys)}", _DIM)])
    lines += [[(f"  {line}", "yellow")] for line in log[-max(0, height - len(lines)) :]] if log else []
    return [crop(line, width) for line in lines[:height]]


def _header(recorder: Recorder, now_s: float) -> Line:
    settings, label = recorder.settings, recorder.timeline.at(now_s)
    where = printable(str(settings.folder)) + (f"  {printable(settings.group)}" if settings.group else "")
    if label is None:
        state: Line = [("  ‖ paused", _WRONG)]
    else:
        seconds = max((recorder.takes.seconds(name) for name in list(recorder.devices)), default=0.0)
        state = [(f"  ● {label or _UNNAMED}", _ON), (f"  {seconds:.1f} s", "")]
    return [(f" {where} ", "bold reverse"), *state]


def _cue(conductor: Conductor, now_s: float) -> list[Line]:
    cue, left_s, follows = conductor.at(now_s)
    label = "pause" if cue is None or cue.label is None else cue.label
    lines: list[Line] = [[("  NOW   ", _HEAD), (label, _ON), (f"   {left_s:.0f} s", "")]]
    if follows is not None:
        lines.append([("  NEXT  ", _HEAD), (follows.label or "pause", "")])
    return lines


def _signals(recorder: Recorder, device: Device, width: int) -> list[Line]:
    """A curve a channel, the newest sample at the right."""
    pieces = list(device.recent)
    samples = np.concatenate(pieces) if pieces else np.empty((0, len(recorder.channels)), np.float32)
    lines: list[Line] = [[(f"  {printable(device.name)}", _HEAD), (f"  {device.rate_hz:g} Hz", _DIM)]]
    room = max(8, width - _NAME - _VALUE - 6)
    for index, channel in enumerate(recorder.channels):
        column = samples[:, index]
        value = f"{column[-1]:.4g} {channel.unit}" if len(column) else "–"
        lines.append(
            [
                (f"    {printable(channel.name)[:_NAME]:<{_NAME}}", ""),
                (curve(column, room), "cyan"),
                (f" {value[:_VALUE]:>{_VALUE}}", ""),
            ]
        )
    return lines


def curve(column: NDArray[np.float32], width: int) -> str:
    """Samples as a row of bars between their lowest and their highest; each cell is the mean of its share."""
    finite = column[np.isfinite(column)]
    if not len(finite):
        return " " * width
    low, high = float(finite.min()), float(finite.max())
    edges = np.linspace(0, len(finite), width + 1).astype(int)
    means = [finite[a : max(b, a + 1)].mean() for a, b in itertools.pairwise(edges)]
    if high <= low:
        return _STEPS[0] * width
    return "".join(_STEPS[min(7, int((mean - low) / (high - low) * 8))] for mean in means)


def _amounts(recorder: Recorder, keys: dict[str, str]) -> list[Line]:
    amounts = recorder.report.amounts()
    names = {label: key for key, label in keys.items()}
    lines: list[Line] = []
    for label in dict.fromkeys([*keys.values(), *amounts]):
        count, seconds = amounts.get(label, (0, 0.0))
        key = f"[{names[label]}] " if label in names else "    "
        name = printable(label) if label != UNLABELLED else _UNNAMED
        times = "recording" if count == 1 else "recordings"
        lines.append([(f"  {key}{name:<20}", ""), (f"{count:>4} {times:<11}{seconds:>8.1f} s", _DIM)])
    return lines


def _help(keys: dict[str, str]) -> str:
    labels = "a label's key starts and stops it   space pause   " if keys else ""
    return f"{labels}u undo   q quit"
