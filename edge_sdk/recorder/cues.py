"""Cue sheets: what is to be shown next, and for how long."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.dataset.naming import check_name
from edge_sdk.errors import ConfigError
from edge_sdk.recorder.timeline import Timeline

#: Cues that are read at most, and their length, s.
_MOST, _LONGEST_S = 10_000, 86_400.0


@dataclass(frozen=True, slots=True)
class Cue:
    """One line of a sheet.

    Attributes:
        label: to show; None for a pause.
        length_s: for how long.
    """

    label: str | None
    length_s: float


def read_cues(text: str) -> tuple[Cue, ...]:
    """A sheet: a CSV file with columns ``label,seconds``, or ``rest:5,walk:10`` itself; ``-`` is a pause.

    Raises:
        ConfigError: no such file, or a line that says neither.
    """
    path = Path(text)
    if ":" not in text or path.is_file():
        return _of_file(path)
    cues = []
    for part in text.split(","):
        label, _, seconds = part.rpartition(":")
        cues.append(_cue("--cues", label.strip(), seconds))
    return _checked("--cues", cues)


def _of_file(path: Path) -> tuple[Cue, ...]:
    try:
        content = path.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(io.StringIO(content), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{path}: cannot be read", expected="a CSV with columns label,seconds", found=error
        ) from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if header != ["label", "seconds"]:
        raise ConfigError(f"{path}: line 1", expected="label,seconds", found=",".join(header) or "nothing")
    cues = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != 2:
            raise ConfigError(f"{path}: line {number}", expected="2 columns", found=len(row))
        cues.append(_cue(f"{path}: line {number}", row[0].strip(), row[1]))
    return _checked(str(path), cues)


def _cue(where: str, label: str, seconds: str) -> Cue:
    try:
        length_s = float(seconds)
    except ValueError:
        length_s = 0.0
    if not 0 < length_s <= _LONGEST_S:
        raise ConfigError(f"{where}: seconds", expected="a positive number", found=repr(seconds.strip()))
    if label in ("", "-"):
        return Cue(None, length_s)
    check_name(label)
    return Cue(label, length_s)


def _checked(where: str, cues: Sequence[Cue]) -> tuple[Cue, ...]:
    if not any(cue.label for cue in cues) or len(cues) > _MOST:
        raise ConfigError(where, expected=f"1 to {_MOST} cues with a label", found=len(cues))
    return tuple(cues)


class Conductor:
    """Sets the labels of a timeline as a cue sheet says.

    Args:
        cues: the sheet.
        repeat: how often all of it.
        settle_s: at the beginning of each cue, which is not recorded: people react late.
    """

    def __init__(self, cues: Sequence[Cue], repeat: int = 1, settle_s: float = 0.0) -> None:
        self.cues, self._settle_s = [*cues] * repeat, settle_s
        self._starts: list[float] = []
        self.ends_s: float | None = None

    def begin(self, timeline: Timeline, at_s: float) -> None:
        """Write the whole sheet into a timeline, the first cue at this moment."""
        before: str | None = None
        for cue in self.cues:
            self._starts.append(at_s)
            if cue.label != before:
                timeline.set(None, at_s)
            timeline.set(cue.label, at_s + min(self._settle_s, cue.length_s) * (cue.label != before))
            before = cue.label
            at_s += cue.length_s
        timeline.set(None, at_s)
        self.ends_s = at_s

    def at(self, time_s: float) -> tuple[Cue | None, float, Cue | None]:
        """The cue at a moment, the seconds that are left of it, and the cue that follows."""
        for index in range(len(self._starts) - 1, -1, -1):
            if time_s >= self._starts[index]:
                cue, left_s = self.cues[index], self._starts[index] + self.cues[index].length_s - time_s
                follows = self.cues[index + 1] if index + 1 < len(self.cues) else None
                return (cue, left_s, follows) if left_s > 0 else (None, 0.0, follows)
        return None, 0.0, self.cues[0]
