"""Which axis is which: the layout of a .tflite's inputs and outputs against the original's, found by running.

A converter moves axes about, and what it says of that is not to be trusted. So random inputs go through both,
and only a pairing under which every output agrees, element by element, is taken. A wrong layout cannot pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import Port
from converters.load.arrays import Arrays, Runner, probe, to_original
from edge_sdk.errors import ModelError

#: Largest difference, as a share of an output's spread, that rounding in another order explains.
TOLERANCE = 1e-3
#: An output that hardly depends on the input is held against this share of its size instead.
_LEAST_SPREAD = 1e-2
_MOST_TRIES = 64

Original = Callable[[Arrays], list[NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of the original at the batch of the .tflite.

    Attributes:
        kept: the converter was told to leave its layout alone.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    kept: bool = True


def match(
    runner: Runner, inputs: Sequence[Tensor], outputs: Sequence[Tensor], original: Original
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The ports of a .tflite, in its order.

    Args:
        runner: the .tflite.
        inputs: of the original, in the order of the .tflite's.
        outputs: of the original, in its own order.
        original: runs the original; takes arrays in the order of `inputs`, gives them in that of `outputs`.

    Raises:
        ModelError: no layout makes the two agree, or the original puts out NaN.
    """
    samples = [probe(runner.inputs, seed) for seed in (1, 2)]
    results = [runner(sample) for sample in samples]
    closest = np.inf
    for permutes in itertools.islice(_layouts(runner, inputs), _MOST_TRIES):
        ports = tuple(
            Port(name=t.name, permute=p, dtype=t.dtype) for t, p in zip(inputs, permutes, strict=True)
        )
        expected = [original(to_original(sample, ports)) for sample in samples]
        _check_finite(expected, outputs)
        found, worst = _outputs(results, expected, outputs)
        if found is not None:
            return ports, found
        closest = min(closest, worst)
    raise ModelError(
        "the converted model does not compute what the original does",
        expected=f"outputs that differ by at most {TOLERANCE:g} of their spread",
        found="outputs of other shapes" if closest == np.inf else f"{closest:.2g}",
        remedy="export it for inference, without random operations, then try again",
    )


def _layouts(runner: Runner, inputs: Sequence[Tensor]) -> Iterator[tuple[tuple[int, ...] | None, ...]]:
    """Permutes for all inputs: the likeliest first."""
    options = []
    for each, tensor in zip(runner.inputs, inputs, strict=True):
        fitting = sorted(_permutes(each.shape, tensor.shape), key=lambda p: (p is None) != tensor.kept)
        if not fitting:
            raise ModelError(
                f"input {tensor.name} became another",
                expected=list(tensor.shape),
                found=list(each.shape),
                remedy=f"fix its size with --shape {tensor.name}=…",
            )
        options.append(fitting)
    return itertools.product(*options)


def _permutes(ours: tuple[int, ...], theirs: tuple[int, ...]) -> list[tuple[int, ...] | None]:
    """The permutes that bring one shape to the other; channels last against channels first is tried first."""
    if len(ours) != len(theirs):
        return []
    rank = len(ours)
    usual: list[tuple[int, ...]] = []
    if rank > 2:
        usual += [(0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)]
    found: list[tuple[int, ...] | None] = []
    for axes in (*usual, tuple(range(rank))):
        permute = None if axes == tuple(range(rank)) else axes
        if tuple(ours[axis] for axis in axes) == theirs and permute not in found:
            found.append(permute)
    return found


def _outputs(
    results: Sequence[Arrays], expected: Sequence[Arrays], tensors: Sequence[Tensor]
) -> tuple[tuple[Port, ...] | None, float]:
    """The original's output for each of the .tflite's, or how far off the nearest misfit is."""
    ports: list[Port] = []
    free = list(range(len(tensors)))
    worst = 0.0
    for place in range(len(results[0])):
        best: tuple[float, int, tuple[int, ...] | None] = (np.inf, -1, None)
        for candidate in free:
            ours = np.stack([each[place] for each in results])
            theirs = np.stack([each[candidate] for each in expected])
            for permute in _permutes(ours.shape[1:], theirs.shape[1:]):
                error = _difference(ours, theirs, permute)
                if error < best[0]:
                    best = (error, candidate, permute)
        worst = max(worst, best[0])
        if best[0] > TOLERANCE:
            return None, worst
        free.remove(best[1])
        ports.append(Port(name=tensors[best[1]].name, permute=best[2], dtype=str(expected[0][best[1]].dtype)))
    return (tuple(ports), worst) if not free else (None, np.inf)


def _difference(ours: NDArray[Any], theirs: NDArray[Any], permute: tuple[int, ...] | None) -> float:
    """Largest difference over all samples [n, …], as a share of how much the samples differ."""
    if permute is not None:
        ours = ours.transpose(0, *(axis + 1 for axis in permute))
    if not ours.size:
        return 0.0
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    spread = max(float(np.ptp(theirs, axis=0).max()), _LEAST_SPREAD * float(np.abs(theirs).max()), 1e-9)
    error = float(np.abs(ours - theirs).max()) / spread
    return error if np.isfinite(error) else float(np.inf)


def _check_finite(expected: Sequence[Arrays], outputs: Sequence[Tensor]) -> None:
    for arrays in expected:
        for array, tensor in zip(arrays, outputs, strict=True):
            if not np.isfinite(array.astype(np.float64)).all():
                raise ModelError(
                    f"the original itself puts out NaN or infinity in {tensor.name}",
                    found="on random normal inputs",
                    remedy="look for NaN among its weights, as after a training that diverged",
                )
