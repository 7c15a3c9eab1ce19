"""Judges a converted model by running it, window by window, against the model it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare
from converters.compare import Difference, Evaluation
from converters.recipes import Recipe
from converters.representative import Material
from edge_sdk.model import Model


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the result compares with the original.

    Attributes:
        original: what the original reached on the evaluation windows; None where they have no labels.
        result: what the converted model reached on the same.
        difference: of the outputs.
        basis: what the windows were: ``test split`` or ``random inputs``.
        failure: why the gate does not let it pass; None where it does.
    """

    original: Evaluation | None
    result: Evaluation | None
    difference: Difference
    basis: str
    failure: str | None

    @property
    def drop(self) -> float | None:
        """Accuracy lost, as a fraction; negative where the result is better."""
        if self.original is None or self.result is None:
            return None
        return self.original.accuracy - self.result.accuracy


def run_windows(file: Path, windows: NDArray[Any]) -> NDArray[np.float32]:
    """The outputs of a model file, as a device would compute them: verified, loaded, one window at a time.

    Args:
        file: a .tflite.
        windows: float32 [n, …].

    Returns:
        float32 [n, outputs].
    """
    with Model.load(file) as model:
        return model.scores(windows)


def confirm(file: Path) -> None:
    """Load a finished file as a device would: contract, digest and golden vectors are checked.

    Raises:
        ModelError: it does not do what it promises.
    """
    Model.load(file).close()


def judge(
    original: NDArray[np.float32],
    result: NDArray[np.float32],
    material: Material | None,
    *,
    recipe: Recipe,
    max_drop: float,
) -> Verdict:
    """Compare outputs and decide whether the result may be kept.

    With labels, accuracy may drop by `max_drop`. Without, outputs must be as close as the recipe promises.

    Args:
        original: float32 [n, …], outputs of the original.
        result: float32 [n, …], outputs of the converted model for the same windows.
        material: where the windows come from; None for random inputs.
        recipe: that was used.
        max_drop: largest loss of accuracy that passes, as a fraction.
    """
    before, after = original.reshape(len(original), -1), result.reshape(len(result), -1)
    apart = compare.difference(before, after)
    basis = "random inputs" if material is None else "test split"
    labels = material.labels if material is not None else None
    if material is None or labels is None:
        # NaN compares false, so that a model that gives NaN does not pass.
        close = apart.sqnr_db >= recipe.least_sqnr_db
        found = f"outputs above their error by {compare.decibels(apart.sqnr_db)}"
        return Verdict(None, None, apart, basis, None if close else found)
    first = compare.evaluate(before, labels, material.groups)
    second = compare.evaluate(after, labels, material.groups)
    verdict = Verdict(first, second, apart, basis, None)
    if not np.isfinite(after).all():
        return Verdict(first, second, apart, basis, "the converted model gives NaN or infinity")
    if verdict.drop is not None and verdict.drop > max_drop + 1e-9:
        lost = f"{100 * verdict.drop:.1f} points, from {first.accuracy:.3f} to {second.accuracy:.3f}"
        return Verdict(first, second, apart, basis, lost)
    return verdict
