"""The threshold that keeps a stated rate of false alarms, and what it costs in events that are missed.

Recordings are streamed through `edge_sdk.decision`, with its smoothing and its hold, as a device would see
them: what counts are events and not windows. The threshold is chosen on recordings of the validation groups;
the figures come from the test groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import DecisionSettings
from edge_sdk.dataset import Dataset, Split
from edge_sdk.decision import Decision
from edge_sdk.errors import ConfigError, first_of
from edge_sdk.prediction import Prediction
from train_host.config import Config
from train_host.judging.alarms import Allowed, Outcome, short
from train_host.windows.streams import Stream

#: Scores of an int8 model have steps of 1/256: a threshold between two of them would not survive conversion,
#: and one above the last would never be reached.
STEPS = 256
#: Windows that go through the decision while a threshold is chosen; of many recordings fewer steps are tried.
_BUDGET = 1_500_000
_FEWEST = 24


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
        rate = self.validation.rate_figure()
        if rate is None or not self.allowed.hourly or not self.kept:
            return None
        high = rate.interval[1]
        if high <= self.allowed.value:
            return None
        hours = float(self.validation.hours.sum())
        said = f"{int(self.validation.false.sum())} false alarms in them"
        return (
            f"{short(hours)} h of validation recordings cannot promise {self.allowed.words}: with {said}, "
            f"there may be up to {short(high)} an hour (95 %)"
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


def check(config: Config, dataset: Dataset, split: Split) -> None:
    """See that a threshold can be chosen where one is to be, and that the decision fits the labels.

    Raises:
        ConfigError: no rate, nothing to stream or to choose on, or no label that can be an event.
    """
    background = config.decision.background
    for name in background:
        if name not in dataset.labels:
            expected = f"labels among {first_of(dataset.labels, 20)}"
            raise ConfigError("decision: background", expected=expected, found=repr(name))
    if config.false_alarms is None:
        return
    allowed = Allowed.parse(config.false_alarms)
    if dataset.task not in ("classification", "anomaly"):
        expected = "a task with alarms: classification or anomaly"
        raise ConfigError("false alarms", expected=expected, found=dataset.task)
    if dataset.task == "anomaly":
        return
    if not set(dataset.labels) - set(background):
        raise ConfigError("decision: background", expected="a label that is an event", found="all labels")
    if dataset.layout != "TC" and allowed.hourly:
        raise ConfigError(
            "false alarms",
            expected="a share of images, such as 0.02",
            found=f"{allowed.words}: images take no time",
        )
    if not split.validation:
        raise ConfigError(
            "false alarms: no validation side to choose a threshold on",
            expected=f"a {split.by} or more, none of which the figures come from",
            remedy="give a share with validation = 0.2",
        )


def choose(
    allowed: Allowed,
    settings: DecisionSettings,
    labels: tuple[str, ...],
    validation: tuple[Sequence[Stream], NDArray[Any]],
    test: tuple[Sequence[Stream], NDArray[Any]],
) -> Operation:
    """The lowest threshold from which on the validation side keeps the rate, and how it does on the others.

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
    least = 1 / len(labels)  # whoever wins has so much, and without smoothing what it had in its window
    if settings.smooth == 1:
        least = max(least, float(scores.max(axis=1).min(initial=1.0)))
    lowest = min(max(int(least * STEPS), 1), STEPS - 1)
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
