"""Events of scores that do not compete: an anomaly score, and labels of which several may hold at once.

Where one label out of several wins a window, `decision` has the rules.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import DecisionSettings
from edge_sdk.decision import Decision
from edge_sdk.prediction import Prediction

if TYPE_CHECKING:
    from edge_sdk.model import Model


@dataclass(slots=True)
class Latch:
    """Whether the event of one score is on.

    It starts when the score has stayed at or above the threshold for `hold_s`, and ends when it has stayed
    below `release` for as long.
    """

    settings: DecisionSettings
    on: bool = False
    since_s: float | None = None

    def step(self, score: float, now_s: float) -> str | None:
        """``start``, ``end`` or None, at a score of that time."""
        release = self.settings.threshold if self.settings.release is None else self.settings.release
        turning = score < release if self.on else score >= self.settings.threshold
        if not turning:
            self.since_s = None
            return None
        self.since_s = now_s if self.since_s is None else self.since_s
        if now_s - self.since_s < self.settings.hold_s:
            return None
        self.on, self.since_s = not self.on, None
        return "start" if self.on else "end"


class _Smoothed:
    """The mean of the last outputs, and latches on it.

    Attributes:
        also: events of the last window besides the one that its prediction tells of.
    """

    def __init__(self, settings: DecisionSettings, labels: tuple[str, ...], latches: int) -> None:
        self.settings, self.labels = settings, labels
        self.also: tuple[Prediction, ...] = ()
        self._latches = [Latch(settings) for _ in range(latches)]
        self._recent = deque[NDArray[np.float32]](maxlen=settings.smooth) if settings.smooth > 1 else None

    def reset(self) -> None:
        """Forget the smoothing history, as after a gap; an event that is on stays on."""
        if self._recent:
            self._recent.clear()
        for latch in self._latches:
            latch.since_s = None

    def _mean(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._recent is None:
            return outputs
        self._recent.append(outputs)
        mean: NDArray[np.float32] = np.mean(self._recent, axis=0)
        return mean


class Alarm(_Smoothed):
    """The decision of an anomaly detector: one score, whose event bears the label of what is not normal."""

    def __init__(self, settings: DecisionSettings, labels: tuple[str, ...]) -> None:
        super().__init__(settings, labels, 1)

    def apply(self, prediction: Prediction) -> Prediction:
        """Smooth the value and set label and event; changes and returns the prediction it is given."""
        value = float(self._mean(prediction.outputs).item(0))
        prediction.value = value
        prediction.label = self.labels[value >= self.settings.threshold]
        prediction.event = self._latches[0].step(value, prediction.time_s)
        if prediction.event is not None:
            prediction.label = self.labels[1]
        return prediction


class EachLabel(_Smoothed):
    """The decision where several labels may hold: each has events of its own."""

    def __init__(self, settings: DecisionSettings, labels: tuple[str, ...]) -> None:
        super().__init__(settings, labels, len(labels))

    def apply(self, prediction: Prediction) -> Prediction:
        """Smooth the scores and set the events; changes and returns the prediction it is given.

        A prediction tells of one event. What happens to further labels in the same window is in `also`, the
        highest score first.
        """
        scores = self._mean(prediction.outputs)
        best = int(scores.argmax())
        prediction.label, prediction.score = self.labels[best], float(scores[best])
        happened = []
        for at, (label, latch) in enumerate(zip(self.labels, self._latches, strict=True)):
            if label in self.settings.background:
                continue
            event = latch.step(float(scores[at]), prediction.time_s)
            if event is not None:
                happened.append((float(scores[at]), label, event))
        happened.sort(key=lambda each: -each[0])
        told = [
            replace(prediction, score=score, label=label, event=event) for score, label, event in happened
        ]
        if told:
            prediction.label, prediction.score, prediction.event = told[0].label, told[0].score, told[0].event
        self.also = tuple(told[1:])
        return prediction


def decision_of(settings: DecisionSettings, model: Model) -> Decision | Alarm | EachLabel:
    """The decision that fits what a model says."""
    task = model.contract.task if model.contract else None
    if task == "anomaly" and model.labels:
        return Alarm(settings, model.labels)
    if task == "multilabel":
        return EachLabel(settings, model.labels)
    return Decision(settings, model.labels)
