"""What a conversion is judged on: representative inputs to measure ranges with, others to compare outputs.

From a dataset folder (`representative`), from an .npz with one array for each input of the model, or random
numbers where there is nothing else.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import Truth
from edge_sdk.errors import DatasetError, one_line
from edge_sdk.graph import Graph, Tensor

#: The basis where there are no data.
RANDOM = "random inputs"
#: Inputs that are compared then.
RANDOM_INPUTS = 64
#: Fewer where they and what comes out of them would take more than this, bytes.
_RANDOM_BYTES, _LEAST_RANDOM_INPUTS = 256 << 20, 2
#: Share of an .npz without groups that judges; the rest is there to measure ranges on.
_JUDGING_SHARE = 0.5
#: An .npz may claim any size; what is read has to fit the memory.
_MOST_BYTES = 1 << 30
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError)


@dataclass(frozen=True)
class Evidence:
    """Inputs as the .tflite takes them: one array for each of its inputs, in its order and layout.

    Attributes:
        calibration: [k, …] for each input, to measure ranges on; None where there are no data.
        calibration_labels: int64 [k, …]; None where unknown.
        inputs: [n, …] for each input, to judge with; never among `calibration`.
        labels: int64 [n], index of the true class; [n, …] where the model says one class for each place; None
            where the task has no classes.
        groups: whom each of `inputs` comes from; None where unknown.
        basis: what `inputs` are, for people: ``test split``, ``random inputs``.
        counts: how many of each label are in `calibration`; empty without labels.
        notes: what the user should know, one line each.
        truth: what is true of `inputs`, where the task is not to choose one class.
        calibration_truth: what is true of `calibration`.
    """

    calibration: tuple[NDArray[Any], ...] | None
    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[np.int64] | None = None
    groups: tuple[str, ...] | None = None
    basis: str = "test split"
    calibration_labels: NDArray[np.int64] | None = None
    counts: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    truth: Truth | None = None
    calibration_truth: Truth | None = None

    def __len__(self) -> int:
        """How many inputs judge."""
        return len(self.inputs[0])

    def of_calibration(self) -> Evidence:
        """The calibration inputs as those that judge, for a search that must not see the real ones."""
        assert self.calibration is not None
        return Evidence(
            None,
            self.calibration,
            self.calibration_labels,
            basis="representative inputs",
            truth=self.calibration_truth,
        )


def random(graph: Graph) -> Evidence:
    """Normal numbers for float inputs, 0 and 1 for integers; the same at every call."""
    rng = np.random.default_rng(0)

    each = sum(graph.tensors[i].bytes for i in (*graph.inputs, *graph.outputs))
    count = max(_LEAST_RANDOM_INPUTS, min(RANDOM_INPUTS, _RANDOM_BYTES // max(each, 1)))

    def draw(tensor: Tensor) -> NDArray[Any]:
        shape = (count, *tensor.shape[1:])
        if tensor.dtype == "float32":
            return rng.standard_normal(shape, dtype=np.float32)
        return rng.integers(0, 2, shape).astype(tensor.dtype)

    return Evidence(
        None,
        tuple(draw(graph.tensors[i]) for i in graph.inputs),
        basis=RANDOM,
        notes=("no evaluation data: compared on random normal inputs, accuracy unknown",),
    )


def from_npz(path: Path, graph: Graph, names: Sequence[str], count: int, seed: int = 0) -> Evidence:
    """Inputs from an .npz file: one array [n, …] for each input of the model.

    Arrays are named after the model's inputs (for a single input ``x`` does as well); ``labels`` (or ``y``)
    holds the true classes, ``groups`` whom or what each sample comes from. Whole groups judge, where there
    are any; otherwise half of the samples, as many of each label as there are. An array ``calibration``,
    bool [n], decides instead.

    Args:
        path: the file; nothing in it is unpickled.
        graph: the float model.
        names: of its inputs, as its author called them.
        count: how many samples to measure ranges on; fewer where there are fewer.
        seed: of both choices.

    Raises:
        DatasetError: not such a file, or it does not fit the model.
    """
    arrays = _read(path)
    inputs = [
        _fitting(path, arrays, name, graph.tensors[index], single=len(names) == 1)
        for name, index in zip(names, graph.inputs, strict=True)
    ]
    total = len(inputs[0])
    labels = next((arrays[key] for key in ("labels", "y") if key in arrays), None)
    groups = arrays["groups"].astype(str) if "groups" in arrays else None
    for key, array in (("labels", labels), ("groups", groups), ("calibration", arrays.get("calibration"))):
        if array is not None and (array.shape[:1] != (total,) or (key != "labels" and array.ndim > 1)):
            several = f"an array {list(array.shape)}" if array.ndim else "a single value"
            found = str(len(array)) if array.ndim == 1 else several
            raise DatasetError(f"{path}: {key}", expected=f"{total}, one for each sample", found=found)
    if any(len(array) != total for array in inputs) or total < 2:
        raise DatasetError(
            f"{path}: samples",
            expected="the same number in each array, at least 2",
            found=", ".join(str(len(array)) for array in inputs),
        )
    if labels is not None:
        _check_labels(path, labels)
    kinds = labels.astype(np.int64) if labels is not None and labels.ndim == 1 else np.zeros(total, np.int64)
    judging, note = _judging(arrays.get("calibration"), groups, kinds, seed)
    rest = np.flatnonzero(~judging)
    if not judging.any() or not len(rest):
        raise DatasetError(f"{path}: samples", expected="some to judge and some to calibrate", found=note)
    chosen = rest[choose(kinds[rest], count, seed)]
    whole = None if labels is None else labels.astype(np.int64)
    return Evidence(
        tuple(array[chosen] for array in inputs),
        tuple(array[judging] for array in inputs),
        None if whole is None else whole[judging],
        None if groups is None else tuple(groups[judging].tolist()),
        basis=f"{path.name}, {note}",
        calibration_labels=None if whole is None else whole[chosen],
        counts=counted([str(kind) for kind in kinds[chosen]]) if labels is not None else (),
    )


def choose(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Indices of `count` samples, as many of each label as there are; the same for the same seed.

    Args:
        labels: int64 [n].
        count: at most this many are chosen.
        seed: of the order within a label.

    Returns:
        int64 [min(n, count)], ascending.
    """
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    turns = [(turn, row, index) for row, indices in enumerate(shuffled) for turn, index in enumerate(indices)]
    return np.sort(np.array([index for *_, index in sorted(turns)[:count]], np.int64))


def counted(labels: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Each label with how often it occurs, sorted by label."""
    return tuple(sorted(Counter(labels).items()))


def fit(array: NDArray[Any], tensor: Tensor) -> NDArray[Any] | None:
    """Samples in the shape and dtype of an input; None where they do not fit it.

    Args:
        array: [n, …]; axes of length 1 may be missing or too many.
        tensor: the input.
    """
    wanted = tensor.shape[1:]
    if [size for size in array.shape[1:] if size != 1] != [size for size in wanted if size != 1]:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return array.reshape(len(array), *wanted).astype(tensor.dtype, copy=False)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():  # opening a pipe would wait for ever
        raise DatasetError(f"{path}: no such file", expected="an .npz with an array for each input")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            size = sum(member.file_size for member in archive.zip.infolist())
            if size > _MOST_BYTES:
                raise DatasetError(
                    f"{path} is too large",
                    expected=f"at most {_MOST_BYTES >> 30} GiB unpacked",
                    found=f"{size:,} bytes",
                    remedy="give fewer samples: some thousands are plenty",
                )
            return {name: archive[name] for name in archive.files}
    except DatasetError:
        raise
    except (*_UNREADABLE, TypeError) as error:
        remedy = "write it with numpy.savez(file, x=inputs, labels=classes)"
        raise DatasetError(
            f"{path} is not a usable .npz", found=one_line(error)[:200], remedy=remedy
        ) from error


def _fitting(
    path: Path, arrays: dict[str, NDArray[Any]], name: str, tensor: Tensor, *, single: bool
) -> NDArray[Any]:
    known = [key for key in arrays if _plain(key) == _plain(name)] or (
        ["x"] if single and "x" in arrays else []
    )
    if not known:
        raise DatasetError(
            f"{path}: input {name!r} is missing",
            expected=f"an array named {name!r}" + (" or 'x'" if single else ""),
            found=", ".join(arrays) or "no arrays",
        )
    array = arrays[known[0]]
    if array.ndim < 1 or array.dtype.kind not in "fiub":
        raise DatasetError(
            f"{path}: {known[0]}", expected="numbers [n, …]", found=f"{array.dtype} {array.shape}"
        )
    fitting = fit(array, tensor)
    if fitting is None:
        raise DatasetError(
            f"{path}: {known[0]}",
            expected=f"{tensor.dtype} [n, {', '.join(map(str, tensor.shape[1:]))}]",
            found=f"{array.dtype} {list(array.shape)}",
        )
    if not (np.isfinite(array).all() and np.isfinite(fitting).all()):
        raise DatasetError(f"{path}: {known[0]}", expected="finite numbers", found="NaN or infinity")
    return fitting


def _check_labels(path: Path, labels: NDArray[Any]) -> None:
    found = None
    if labels.dtype.kind not in "iu":
        found = str(labels.dtype)
    elif not labels.size:
        found = f"an array {list(labels.shape)}"
    elif labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        found = f"{labels.min()} to {labels.max()}"
    if found is not None:
        raise DatasetError(f"{path}: labels", expected="integers from 0", found=found)


def _plain(name: str) -> str:
    return re.sub(r"(:\d+)?$", "", name)


def _judging(
    calibration: NDArray[Any] | None, groups: NDArray[Any] | None, labels: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.bool_], str]:
    """Which samples judge, and what they are."""
    if calibration is not None:
        return ~calibration.astype(bool), "all that is not for calibration"
    rng = np.random.default_rng(seed)
    names = np.unique(groups) if groups is not None else np.empty(0)
    if groups is not None and len(names) > 1:
        held_out = rng.permutation(names)[: max(1, round(len(names) * _JUDGING_SHARE))]
        return np.isin(groups, held_out), f"{len(held_out)} of {len(names)} groups"
    judging = np.zeros(len(labels), bool)
    judging[choose(labels, max(1, round(len(labels) * _JUDGING_SHARE)), seed)] = True
    return judging, "half of the samples"
