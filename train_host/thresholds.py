"""The threshold that keeps a stated rate of false alarms, and what it costs in events that are missed.

Recordings are streamed through `edge_sdk.decision`, with its smoothing and its hold, as a device would see
them: what counts are events and not windows. The threshold is chosen on recordings of the validation groups;
the figures come from the test groups.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.contract import DecisionSettings
from edge_sdk.decision import Decision
from edge_sdk.errors import ConfigError
from edge_sdk.prediction import Prediction
from train_host import resampling
from train_host.calibration import Figure
from train_host.streams import Stream

#: Scores of an int8 model have steps of 1/256: a threshold between two of them would not survive conversion,
#: and one above the last would never be reached.
STEPS = 256
#: Windows that go through the decision while a threshold is chosen; of many recordings fewer steps are tried.
_BUDGET = 1_500_000
_FEWEST = 24
_RATE = re.compile(r"(?P<count>[0-9.eE+-]+)\s*/\s*(?P<unit>s|min|h|day|d|week)")
_PER_HOUR = {"s": 3600.0, "min": 60.0, "h": 1.0, "day": 1 / 24, "d": 1 / 24, "week": 1 / 168}


@dataclass(frozen=True, slots=True)
class Allowed:
    """How often an alarm may be false.

    Attributes:
        value: events an hour, or the share of recordings with one.
        hourly: which of both.
        words: as it was written.
    """

    value: float
    hourly: bool
    words: str

    @classmethod
    def parse(cls, words: str) -> Allowed:
        """Read ``1/h``, ``0.5/day``, ``2 %`` or ``0.02``.

        Raises:
            ConfigError: none of these.

        >>> Allowed.parse("12/day").value
        0.5
        >>> Allowed.parse("2 %")
        Allowed(value=0.02, hourly=False, words='2 %')
        """
        text = words.strip()
        rate = _RATE.fullmatch(text)
        try:
            if rate:
                value = float(rate["count"]) * _PER_HOUR[rate["unit"]]
            elif text.endswith("%"):
                value = float(text[:-1]) / 100
            else:
                value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < (1e9 if rate else 1):
            expected = "events in a time, such as 1/h or 2/day, or a share of recordings, such as 0.02 or 2%"
            raise ConfigError("false alarms", expected=expected, found=words or "nothing")
        return cls(value, rate is not None, text)


@dataclass(frozen=True)
class Outcome:
    """What a threshold does to some recordings.

    Attributes:
        threshold: from which events start.
        false: int [recordings], events of other labels than the recording's.
        found: bool [recordings], whether an event of its label started; without meaning where none is due.
        due: bool [recordings], whether one should: its label is no background.
        hours: float [recordings], how long each is.
        group: whom each comes from.
    """

    threshold: float
    false: NDArray[np.int64]
    found: NDArray[np.bool_]
    due: NDArray[np.bool_]
    hours: NDArray[np.float64]
    group: tuple[str, ...]

    @property
    def per_hour(self) -> float:
        """False alarms an hour."""
        return float(self.false.sum() / self.hours.sum())

    @property
    def share(self) -> float:
        """Share of recordings with a false alarm."""
        return float((self.false > 0).mean())

    @property
    def detection(self) -> float | None:
        """Share of the events that started; None where none is due."""
        return float(self.found[self.due].mean()) if self.due.any() else None

    def keeps(self, allowed: Allowed) -> bool:
        """Whether there are no more false alarms than may be."""
        return (self.per_hour if allowed.hourly else self.share) <= allowed.value

    def as_dict(self) -> dict[str, Any]:
        """With intervals: of rates as for events that are independent, and over groups; the wider counts."""
        rate, share, detection = self.rate_figure(), self.share_figure(), self.detection_figure()
        return {
            "threshold": self.threshold,
            "detection": None if detection is None else detection.as_dict(),
            "false_alarms_per_hour": rate.as_dict(),
            "recordings_with_false_alarms": share.as_dict(),
            "false_alarms": int(self.false.sum()),
            "hours": round(float(self.hours.sum()), 6),
            "events": int(self.due.sum()),
            "recordings": len(self.false),
        }

    def rate_figure(self) -> Figure:
        """False alarms an hour."""
        hours = float(self.hours.sum())
        low, high = (bound / hours for bound in resampling.poisson(int(self.false.sum())))
        if len(set(self.group)) > 1 and self.false.any():
            parts = np.stack([self.false, self.hours], axis=1)
            drawn = resampling.interval(parts, lambda sums: sums[:, 0] / sums[:, 1], [self.group])
            low, high = min(low, drawn[0]), max(high, drawn[1])
        return Figure(self.per_hour, (low, high))

    def share_figure(self) -> Figure:
        """Share of recordings with a false alarm."""
        return Figure(self.share, compare.interval(self.false > 0, self.group))

    def detection_figure(self) -> Figure | None:
        """Share of the events that started."""
        if self.detection is None:
            return None
        groups = [name for name, due in zip(self.group, self.due, strict=True) if due]
        return Figure(self.detection, compare.interval(self.found[self.due], groups))


@dataclass(frozen=True)
class Operation:
    """The threshold that was chosen, and how it does.

    Attributes:
        allowed: what was asked for.
        settings: the decision with the threshold in it.
        kept: whether the validation side keeps what was asked for.
        validation: what it does there.
        test: what it does on the test side.
        curve: what other thresholds do there, by rising threshold.
    """

    allowed: Allowed
    settings: DecisionSettings
    kept: bool
    validation: Outcome
    test: Outcome
    curve: tuple[Outcome, ...]

    @property
    def note(self) -> str | None:
        """What the validation side is too short to promise; None where it is not."""
        _, high = self.validation.rate_figure().interval
        if not self.allowed.hourly or high <= self.allowed.value or not self.kept:
            return None
        hours = float(self.validation.hours.sum())
        return (
            f"{hours:.2g} h of validation recordings cannot promise {self.allowed.words}: with "
            f"{int(self.validation.false.sum())} false alarms in them, there may be up to {high:.2g} an hour "
            "(95 %)"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the curve has the points of a plot only."""
        return {
            "allowed": self.allowed.words,
            "kept": self.kept,
            **self.test.as_dict(),
            "validation": self.validation.as_dict(),
            "note": self.note,
            "curve": [
                {
                    "threshold": one.threshold,
                    "detection": one.detection,
                    "false_alarms_per_hour": one.per_hour,
                    "recordings_with_false_alarms": one.share,
                }
                for one in self.curve
            ],
        }


def check(background: Sequence[str], labels: Sequence[str]) -> None:
    """See that something can be an event.

    Raises:
        ConfigError: a background label that there is not, or no other label.
    """
    for name in background:
        if name not in labels:
            raise ConfigError(
                "decision: background", expected=f"labels among {', '.join(labels)}", found=repr(name)
            )
    if not set(labels) - set(background):
        raise ConfigError("decision: background", expected="a label that is an event", found="all labels")


def choose(
    allowed: Allowed,
    settings: DecisionSettings,
    labels: tuple[str, ...],
    validation: tuple[Sequence[Stream], NDArray[Any]],
    test: tuple[Sequence[Stream], NDArray[Any]],
) -> Operation:
    """The lowest threshold from which on the validation side keeps the rate, and how it does on the test side.

    Where no threshold keeps it, the highest is taken and `kept` is false.

    Args:
        allowed: how often an alarm may be false.
        settings: smoothing, hold, release and background; the threshold is replaced, and a release above it.
        labels: in the order of the scores.
        validation: recordings, and float32 [n, labels], the scores of all their windows.
        test: likewise.
    """
    kept, chosen = False, None
    for threshold in reversed(candidates(settings, labels, *validation)):
        tried = outcome(at(settings, threshold), labels, *validation)
        if not tried.keeps(allowed):
            break
        kept, chosen = True, tried
    if chosen is None:
        chosen = outcome(at(settings, (STEPS - 1) / STEPS), labels, *validation)
    final = at(settings, chosen.threshold)
    curve = [
        outcome(at(settings, step), labels, *test)
        for step in candidates(settings, labels, *test, most=3 * _FEWEST)
    ]
    return Operation(allowed, final, kept, chosen, outcome(final, labels, *test), tuple(curve))


def at(settings: DecisionSettings, threshold: float) -> DecisionSettings:
    """The same decision with this threshold; a release above it would end events as they start."""
    release = None if settings.release is None else min(settings.release, threshold)
    return dataclasses.replace(settings, threshold=threshold, release=release)


def candidates(
    settings: DecisionSettings,
    labels: tuple[str, ...],
    streams: Sequence[Stream],
    scores: NDArray[Any],
    *,
    most: int = STEPS,
) -> list[float]:
    """The thresholds worth a trial, rising: steps of 1/256 from the lowest score that wins to the highest."""
    windows = sum(len(stream.windows) for stream in streams)
    count = max(min(most, _BUDGET // max(windows, 1)), _FEWEST)
    least = 1 / len(labels)  # no smoothed score that wins is lower
    lowest = max(int(np.floor(max(least, float(scores.max(axis=1).min(initial=1.0))) * STEPS)), 1)
    steps = np.unique(np.linspace(lowest, STEPS - 1, min(count, STEPS - lowest)).round().astype(int))
    return [int(step) / STEPS for step in steps]


def outcome(
    settings: DecisionSettings, labels: tuple[str, ...], streams: Sequence[Stream], scores: NDArray[Any]
) -> Outcome:
    """Stream recordings through the decision, each as if it were the first thing that a device heard."""
    values = np.asarray(scores, np.float32)
    winners = values.argmax(axis=1)
    false, found = [], []
    for stream in streams:
        decision, starts = Decision(settings, labels), []
        for number, row in enumerate(stream.windows):
            best = int(winners[row])
            prediction = Prediction(
                labels[best], float(values[row, best]), None, values[row], time_s=stream.end_s(number)
            )
            if decision.apply(prediction).event == "start":
                starts.append(prediction.label)
        false.append(sum(label != stream.recording.label for label in starts))
        found.append(stream.recording.label in starts)
    return Outcome(
        settings.threshold,
        np.array(false, np.int64),
        np.array(found, np.bool_),
        np.array([stream.recording.label not in settings.background for stream in streams], np.bool_),
        np.array([stream.duration_s / 3600 for stream in streams]),
        tuple(stream.recording.group for stream in streams),
    )
