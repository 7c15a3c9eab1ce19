"""Judges a converted model by running it, input by input, against the model it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters import compare
from converters.compare import Difference, Evaluation
from converters.evidence import RANDOM, Evidence
from converters.figures import Judged
from converters.recipes import Recipe
from edge_sdk.graph import Graph
from edge_sdk.model import Model

Arrays = Sequence[NDArray[Any]]
#: What an output holds: one score a class, probabilities of something else, or values in a unit.
Meaning = Literal["scores", "probabilities", "values"]
_PROBABILITIES: dict[str, Meaning] = {"SOFTMAX": "scores", "LOGISTIC": "probabilities"}
#: How well values must keep their order: int8 keeps 0.999 of an evenly spread output.
_LEAST_RANK = 0.99


@dataclass(frozen=True, slots=True)
class Labelled:
    """The scores of one output beside the true classes, one row each.

    Attributes:
        index: of the output.
        before: float32 [n, classes], the original's scores.
        after: float32 [n, classes], the converted model's.
        labels: int64 [n].
        groups: whom each row comes from, or None. Places within one image come from that image.
    """

    index: int
    before: NDArray[Any]
    after: NDArray[Any]
    labels: NDArray[np.int64]
    groups: tuple[str, ...] | None

    @property
    def hits(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Bool [n] of each model: whether it is right."""
        return compare.decide(self.before) == self.labels, compare.decide(self.after) == self.labels


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the result compares with the original.

    Attributes:
        original: what the original reached on the evaluation inputs; None where they have no labels.
        result: what the converted model reached on the same.
        outputs: how far apart the two are, for each output.
        basis: what the inputs were: ``test split`` or ``random inputs``.
        failure: why the gate does not let it pass; None where it does.
        drop_interval: 95 % interval of the accuracy lost, from pairs; None without labels.
        labelled: index of the output that the labels belong to.
        judged: figures of both, of a task other than classification; None without a truth to it.
    """

    original: Evaluation | None
    result: Evaluation | None
    outputs: tuple[Difference, ...]
    basis: str
    failure: str | None
    drop_interval: tuple[float, float] | None = None
    labelled: int | None = None
    judged: Judged | None = None

    @property
    def difference(self) -> Difference:
        """Of the output that differs most, by signal to noise."""
        return min(self.outputs, key=lambda apart: np.nan_to_num(apart.sqnr_db, nan=-np.inf, posinf=np.inf))

    @property
    def agreement(self) -> float | None:
        """Share of inputs on which both choose the same label; None where no output chooses."""
        if self.judged is not None:
            return self.judged.agreement
        if self.labelled is not None:
            return self.outputs[self.labelled].agreement
        return next((apart.agreement for apart in self.outputs if apart.agreement is not None), None)

    @property
    def drop(self) -> float | None:
        """Accuracy lost, as a fraction; negative where the result is better. None for other tasks."""
        if self.original is None or self.result is None:
            return None
        return self.original.accuracy - self.result.accuracy


def run(file: Path, inputs: Arrays, target: str = "host:") -> tuple[NDArray[np.float32], ...]:
    """The outputs of a model file, as a device would compute them: verified, loaded, one input at a time.

    Args:
        file: a .tflite.
        inputs: [n, …] for each input of the model.
        target: where it runs.

    Returns:
        float32 [n, …] for each output.

    Raises:
        ModelError: the file is not safe to load, or does not do what it promises.
    """
    with Model.load(file, target=target) as model:
        runtime = model.runtime
        rows = []
        for i in range(len(inputs[0])):
            fed = [
                port.quantize(array[i : i + 1]) for port, array in zip(runtime.inputs, inputs, strict=True)
            ]
            raw = runtime.invoke(fed)
            rows.append([port.dequantize(out) for port, out in zip(runtime.outputs, raw, strict=True)])
    return tuple(np.concatenate(column) for column in zip(*rows, strict=True))


def meanings_of(graph: Graph) -> tuple[Meaning, ...]:
    """What each output of a float model holds, by the operator that computes it."""
    writer = {i: op.name for op in graph.ops for i in op.outputs}
    return tuple(_PROBABILITIES.get(writer.get(i, ""), "values") for i in graph.outputs)


def confirm(file: Path) -> None:
    """Load a finished file as a device would: contract, digest and golden vectors are checked.

    Raises:
        ModelError: it does not do what it promises.
    """
    Model.load(file).close()


def judge(
    original: Arrays,
    result: Arrays,
    evidence: Evidence,
    *,
    recipe: Recipe,
    max_drop: float,
    meanings: Sequence[Meaning] = (),
) -> Verdict:
    """Compare outputs and decide whether the result may be kept.

    With labels, the accuracy of the output that they belong to may drop by `max_drop`, or by one window
    unless that is 0; with another truth, what counts for its task may lose as much. Outputs without either
    must be as close as the recipe promises. Where they are values and not probabilities, small ones must keep
    their order as well: a quantity that spans decades can lose all but its largest values at a good ratio of
    signal to noise.

    Args:
        original: [n, …] for each output, of the original.
        result: the same of the converted model.
        evidence: where the inputs come from, with their labels.
        recipe: that was used.
        max_drop: largest loss that passes, as a fraction: of accuracy, or what an error may grow by.
        meanings: of each output; without them every one holds scores.
    """
    pair = labelled(original, result, evidence)
    truth = evidence.truth
    index = None if pair is None else pair.index
    if truth is not None:
        index = next((i for i, array in enumerate(original) if truth.fits(array)), None)
    meant = list(meanings) or ["scores"] * len(original)
    outputs = tuple(
        compare.difference(a, b, classes=meant[i] == "scores" or (i == index and truth is None))
        for i, (a, b) in enumerate(zip(original, result, strict=True))
    )
    before = after = spread = None
    if pair is not None:
        before = compare.evaluate(pair.before, pair.labels, pair.groups)
        after = compare.evaluate(pair.after, pair.labels, pair.groups)
        spread = compare.paired_interval(*pair.hits, pair.groups)
    judged = None if truth is None or index is None else truth.judge(original[index], result[index])
    unlabelled = [(outputs[i], meant[i]) for i in range(len(outputs)) if i != index]
    if not all(np.isfinite(array).all() for array in result):
        failure: str | None = "the converted model gives NaN or infinity"
    elif (
        before is not None
        and after is not None
        and before.accuracy - after.accuracy > _allowed(max_drop, pair)
    ):
        lost = 100 * (before.accuracy - after.accuracy)
        failure = f"{lost:.1f} points, from {before.accuracy:.3f} to {after.accuracy:.3f}"
    elif judged is not None and (found := judged.failure(max_drop)) is not None:
        failure = found
    else:
        failure = _distance(unlabelled, recipe, real=evidence.basis != RANDOM)
    labels = None if pair is None else index
    return Verdict(before, after, outputs, evidence.basis, failure, spread, labels, judged)


def _allowed(max_drop: float, pair: Labelled | None) -> float:
    """The loss that passes: a single window, where that is more than what was asked for, says nothing."""
    single = 0.0 if pair is None or not max_drop else 1 / len(pair.labels)
    return max(max_drop, single) + 1e-9


def _distance(outputs: Sequence[tuple[Difference, Meaning]], recipe: Recipe, *, real: bool) -> str | None:
    """Why outputs without labels are too far from the original's; None where they are not."""
    for apart, meaning in outputs:
        # NaN compares false, so that what cannot be compared does not pass.
        if not apart.sqnr_db >= recipe.least_sqnr_db:
            return f"outputs above their error by {compare.decibels(apart.sqnr_db)}"
        if real and meaning == "values" and apart.rank is not None and apart.rank < _LEAST_RANK:
            return f"small values are lost: rank correlation {apart.rank:.3f}, {_LEAST_RANK:g} asked"
    return None


def labelled(original: Arrays, result: Arrays, evidence: Evidence) -> Labelled | None:
    """The scores that the evidence has labels for; None where it has none or no output fits them."""
    labels = evidence.labels
    if labels is None:
        return None
    for i, (before, after) in enumerate(zip(original, result, strict=True)):
        if before.ndim == labels.ndim and labels.shape == before.shape and before.shape[-1] != 1:
            continue  # several labels at once: no one of them is the class
        single = before.size == labels.size
        classes = 2 if single else before.shape[-1]
        if not single and before.size != labels.size * classes:
            continue
        if labels.min() < 0 or labels.max() >= classes:
            continue
        places = labels.size // len(labels)
        groups = evidence.groups or (tuple(map(str, range(len(labels)))) if places > 1 else None)
        return Labelled(
            i,
            before.reshape(labels.size, -1),
            after.reshape(labels.size, -1),
            labels.reshape(-1),
            None if groups is None else tuple(name for name in groups for _ in range(places)),
        )
    return None
