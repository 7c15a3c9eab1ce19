"""What a model must say about the samples that were sent: known here, without asking the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk import Model
from edge_sdk.contract import Channel
from tests.models import Linear, contract, write_model

WINDOW, HOP = 8, 4
NAMES = ("ax", "ay", "az")
#: The sensor's range; a tenth of it more is still a sample.
LOW, HIGH = -2.0, 2.0


def write(folder: Path, rate_hz: float) -> Path:
    """A model of windows of three channels in g, whose answers differ for windows that differ."""
    spec = Linear(window=WINDOW)
    channels = tuple(Channel(name, "g", (LOW, HIGH)) for name in NAMES)
    facts = replace(contract(spec).input, channels=channels, rate_hz=rate_hz, hop=HOP)
    return write_model(folder / "m.tflite", spec, input=facts)


def samples(count: int, seed: int) -> NDArray[np.float32]:
    """float32 [count, 3], well within the range, and exactly what five decimals can say."""
    values = np.random.default_rng(seed).uniform(-0.6, 0.6, (count, 3)).round(5)
    return values.astype(np.float32)


@dataclass
class _Stretch:
    """Samples without a hole between them.

    Attributes:
        rows: in the order in which they were sent.
        torn: it ended while the pipeline had not read all of it.
        lossy: it came faster than it could be used: pieces are missing, the pipeline says how much.
    """

    rows: list[NDArray[np.float32]] = field(default_factory=list)
    torn: bool = False
    lossy: bool = False


class Stream:
    """What one sensor sent that is a sample, and where something was missing.

    Attributes:
        count: samples.
    """

    def __init__(self) -> None:
        self.count = 0
        self._stretches = [_Stretch()]

    def sent(self, row: NDArray[np.float32]) -> None:
        self._stretches[-1].rows.append(row)
        self.count += 1

    def hole(self, *, torn: bool = False) -> None:
        """Nothing that comes next is the neighbour of what came before."""
        self._stretches[-1].torn = torn
        if self._stretches[-1].rows:
            self._stretches.append(_Stretch())

    def lossy(self) -> None:
        """Pieces may be missing of what comes next, up to the next hole."""
        self.hole()
        self._stretches[-1].lossy = True

    @property
    def stretches(self) -> list[NDArray[np.float32]]:
        """float32 [n, channels] each, with a hole between each two."""
        return [np.stack(stretch.rows) for stretch in self._stretches if stretch.rows]

    def check(self, model: Path, predictions: Sequence[Mapping[str, Any]]) -> None:
        """Every prediction is word for word what the model says about a window without a hole.

        None is missing either: of each stretch all windows came, in order; of a torn one, all up to the last.
        """
        with Model.load(model) as loaded:
            said = [_said(loaded, stretch.rows) for stretch in self._stretches]
        found = 0
        for nth, (stretch, answers) in enumerate(zip(self._stretches, said, strict=True)):
            start, missing = 0, 0
            while start < len(answers) and found < len(predictions):
                if not _same(predictions[found], answers[start]):
                    missing += 1
                    start += 1 if stretch.lossy else HOP
                    continue
                assert not missing or stretch.lossy, f"stretch {nth}: {missing} before {start}"
                found += 1
                start += HOP
            left = len(answers) > start or missing
            where = f"stretch {nth} of {len(stretch.rows)}: {missing} missing before {start}"
            assert not left or stretch.torn or stretch.lossy, where
        rest = predictions[found:]
        assert not rest, f"{len(rest)} of {len(predictions)} invented, the first is {rest[0]}"


def _said(model: Model, rows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The model's outputs for the window that begins at each sample."""
    if len(rows) < WINDOW:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(np.stack(rows), WINDOW, axis=0).transpose(0, 2, 1)
    return [model.run(window).outputs for window in windows]


def _same(prediction: Mapping[str, Any], outputs: NDArray[np.float32]) -> bool:
    """The same but for the order in which a batch adds up."""
    return bool(np.allclose(prediction["outputs"], outputs, rtol=0, atol=1e-6))
