"""Turns single predictions into events: smoothing, threshold, hysteresis, debounce."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import DecisionSettings
from edge_sdk.prediction import Prediction


class Decision:
    """The state of one device's decision.

    An event *starts* when the smoothed score of one label, no background label, has stayed at or above
    `threshold` for `hold_s`; it *ends* when that label's smoothed score has stayed below `release` for
    `hold_s`, or when another label has earned its start. Only one event is on at a time.

    `apply` replaces a prediction's label and score by the smoothed ones; the raw outputs stay in `outputs`.
    On ``end`` the label is the one whose event ended.
    """

    def __init__(self, settings: DecisionSettings, labels: tuple[str, ...]) -> None:
        self.settings, self.labels = settings, labels
        #: No window has two events: a label that starts ends another one first.
        self.also: tuple[Prediction, ...] = ()
        # An empty deque is 760 bytes, and there is one for each of thousands of devices.
        self._recent = deque[NDArray[np.float32]](maxlen=settings.smooth) if settings.smooth > 1 else None
        self._release = settings.threshold if settings.release is None else settings.release
        self.active: str | None = None
        self._candidate: str | None = None
        self._since_s = 0.0
        self._below_since_s: float | None = None

    def apply(self, prediction: Prediction) -> Prediction:
        """Smooth the scores and set `event`; changes and returns the prediction it is given."""
        if prediction.score is None or len(self.labels) != prediction.outputs.size:
            return prediction
        if self._recent is not None:
            self._recent.append(prediction.outputs)
            scores = np.mean(self._recent, axis=0)
            best = int(scores.argmax())
            prediction.label, prediction.score = self.labels[best], float(scores[best])
        else:
            scores = prediction.outputs
        self._decide(prediction, scores)
        return prediction

    def reset(self) -> None:
        """Forget the smoothing history, as after a gap; an event that is on stays on."""
        if self._recent:
            self._recent.clear()
        self._candidate = self._below_since_s = None

    def _decide(self, prediction: Prediction, scores: NDArray[np.float32]) -> None:
        now, hold_s = prediction.time_s, self.settings.hold_s
        label, score = prediction.label, prediction.score or 0.0
        eligible = label not in self.settings.background and score >= self.settings.threshold
        if not eligible or label == self.active:
            self._candidate = None
        elif label != self._candidate:
            self._candidate, self._since_s = label, now
        earned = self._candidate is not None and now - self._since_s >= hold_s

        if self.active is not None:
            active_score = float(scores[self.labels.index(self.active)])
            if active_score >= self._release:
                self._below_since_s = None
            elif self._below_since_s is None:
                self._below_since_s = now
            over = self._below_since_s is not None and now - self._below_since_s >= hold_s
            if over or earned:
                prediction.event, prediction.label, prediction.score = "end", self.active, active_score
                self.active = self._below_since_s = None
        elif earned:
            prediction.event = "start"
            self.active, self._candidate = label, None
