"""What a model's outputs mean: which one answers, and what its numbers stand for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_sdk.errors import SpecError
from edge_sdk.prediction import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.contract import Contract
    from edge_sdk.interface import Interface

#: Tasks whose models say a score a label.
_CLASSIFYING = ("classification", "multilabel")
#: What the outputs of a few predictions of one batch may share.
_SHARED_BYTES = 512


class Answer:
    """Makes predictions of what the primary output says.

    The primary output is the first that has a score for each label, states aside and in the order of the
    contract; of a model without labels, and of an anomaly detector, the first.

    Args:
        interface: of the model.
        contract: of the model; None for a foreign one.
        labels: of a model without a contract.

    Attributes:
        output: index of the primary output.
        labels: in the order of the scores, or what is normal and what is not; empty for a regression.
        pair: whether there is one probability for two labels: that of the second.

    Raises:
        SpecError: there are labels, and no output has as many scores; an anomaly detector says several.
    """

    def __init__(self, interface: Interface, contract: Contract | None, labels: tuple[str, ...]) -> None:
        self._name, said = interface.model, interface.said
        sizes = {i: math.prod(interface.runtime.outputs[i].window_shape) for i in said}
        labels = contract.output.labels if contract else labels
        task = contract.task if contract else None
        likely = contract is not None and contract.output.scores == "probability"
        fits = [i for i in said if sizes[i] == len(labels)]
        two = likely and len(labels) == 2 and not fits and task in (None, "classification")
        pairs = [i for i in said if sizes[i] == 1] if two else []
        self.output = said[0]
        if task in (None, *_CLASSIFYING):
            self.output = next(iter(fits or pairs), said[0])
        scores = sizes[self.output]
        self._classifies = task in _CLASSIFYING if task else scores > 1
        self.pair = self._classifies and bool(pairs)
        if self._classifies and not labels:
            labels = tuple(str(i) for i in range(scores))
        if self._classifies and len(labels) != scores and not self.pair:
            raise SpecError(
                f"{self._name}: labels", expected=f"{scores}, one for each output", found=len(labels)
            )
        #: From which value a window is no longer normal.
        self._threshold: float | None = None
        if contract is not None and task == "anomaly" and labels:
            if scores != 1 or len(labels) != 2:
                raise SpecError(
                    f"{self._name}: an anomaly detector",
                    expected="one score, and labels for what is normal and what is not",
                    found=f"{scores} scores, {len(labels)} labels",
                )
            self._threshold = contract.decision.threshold
        self.labels = labels if self._classifies or self._threshold is not None else ()

    def prediction(self, outputs: NDArray[np.float32], latency_us: float) -> Prediction:
        """Of one window.

        Args:
            outputs: float32, the primary output without its batch axis.
            latency_us: the runtime's invoke, µs.
        """
        if not self._classifies:
            value = outputs.item(0)
            label = None if self._threshold is None else self.labels[value >= self._threshold]
            return Prediction(label, None, value, outputs, latency_us=latency_us, model=self._name)
        if self.pair:
            outputs = np.array([1 - outputs.item(0), outputs.item(0)], np.float32)
        best = int(outputs.argmax())
        return Prediction(
            self.labels[best], outputs.item(best), None, outputs, latency_us=latency_us, model=self._name
        )

    def predictions(self, outputs: NDArray[np.float32], latency_us: float) -> list[Prediction]:
        """Of many windows, without numpy's price for each; none of them holds on to its batch.

        Args:
            outputs: float32 [n, …].
            latency_us: the share of each, µs.
        """
        if not self._classifies or self.pair:
            return [self.prediction(one.copy(), latency_us) for one in outputs]
        labels, name = self.labels, self._name
        scores = outputs.reshape(len(outputs), -1)
        best, highest = scores.argmax(axis=1).tolist(), scores.max(axis=1).tolist()
        # By position, as keywords would cost a third more, which a fleet notices.
        return [
            Prediction(labels[i], score, None, one, "", "", -1, 0.0, 0.0, True, latency_us, None, name)
            for i, score, one in zip(best, highest, _apart(outputs), strict=True)
        ]


def _apart(outputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Each row, in memory of a few rows: to copy every one alone costs twice as much."""
    together = max(1, _SHARED_BYTES // max(outputs[:1].nbytes, 1))
    rows: list[NDArray[np.float32]] = []
    for at in range(0, len(outputs), together):
        rows.extend(outputs[at : at + together].copy())
    return rows
