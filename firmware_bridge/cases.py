"""What a model is tried with besides its golden vectors: a test set, or random inputs."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.evidence import Evidence
from converters.representative import Source, contract_for, find_source, gather
from edge_sdk.contract import Contract
from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError, first_of, one_line
from edge_sdk.graph import Graph
from edge_sdk.model import Model
from edge_sdk.runtimes import Port
from firmware_bridge.answers import Windows
from firmware_bridge.subject import Subject, feeds, windows_of

#: Where there is nothing else.
RANDOM_CASES = 16
#: An .npz may claim any size; what is read has to fit the memory.
_MOST_BYTES = 1 << 30
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    MemoryError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class Cases:
    """Windows to try a model with.

    Attributes:
        windows: [n, …] of what `Model.run` takes.
        labels: int64 [n], index of the true class; None where unknown.
        groups: whom each window comes from; None where unknown.
        basis: what they are, for people.
        note: what the user should know; None where there is nothing.
    """

    windows: Windows
    labels: NDArray[np.int64] | None
    groups: tuple[str, ...] | None
    basis: str
    note: str | None = None

    def __len__(self) -> int:
        """How many windows there are."""
        return len(next(iter(self.windows.values())) if isinstance(self.windows, dict) else self.windows)

    def at_most(self, count: int) -> Cases:
        """So many of them, spread over all; all where there are fewer."""
        total = len(self)
        if total <= count:
            return self
        rows = np.unique(np.linspace(0, total - 1, count).round().astype(int))
        windows = (
            {name: array[rows] for name, array in self.windows.items()}
            if isinstance(self.windows, dict)
            else np.asarray(self.windows)[rows]
        )
        return Cases(
            windows,
            None if self.labels is None else self.labels[rows],
            None if self.groups is None else tuple(self.groups[row] for row in rows),
            f"{len(rows)} of {total:,}, {self.basis}",
            self.note,
        )


def load(data: Path | None, subject: Subject, model: Model) -> Cases:
    """The windows that a user gave, or random ones.

    Args:
        data: a dataset folder or an .npz; None for random inputs.
        subject: that they are for.
        model: the same, loaded somewhere.

    Raises:
        DatasetError: there is no such data, or it does not fit the model.
    """
    if data is None:
        return random(subject, model)
    return from_npz(data, model) if data.suffix == ".npz" else from_dataset(data, subject)


def from_dataset(folder: Path, subject: Subject) -> Cases:
    """The test split of a dataset folder: that of the training where the model's contract tells of it.

    Raises:
        DatasetError: it is malformed, or not what the model was made for.
        ModelError: the model does not take its windows.
    """
    graph, contract = subject.graph, subject.contract
    source = _source(folder, contract)
    fed = _fed(graph, contract)
    if len(fed) != 1:
        raise DatasetError(
            f"{folder}: windows of a dataset feed one input",
            expected="a model with one",
            found=len(fed),
            remedy="give an .npz with an array for each",
        )
    # Windows are in the units of the input, whatever it stores.
    tensor = replace(graph.tensors[fed[0]], dtype="float32")
    if contract is None:
        outputs = graph.tensors[graph.outputs[0]].shape[-1:]
        contract = contract_for(source, subject.file.stem, list(tensor.shape[1:]), *outputs)
    found: Evidence = gather(source, contract, tensor, 1)
    return Cases(
        found.inputs[0],
        found.labels,
        found.groups,
        f"test split of {folder.name}",
        "; ".join(found.notes) or None,
    )


def from_npz(path: Path, model: Model) -> Cases:
    """All samples of an .npz, but for those that its array ``calibration``, bool [n], marks.

    Arrays are named after the model's inputs (``x`` does for a single one); ``labels`` (or ``y``) holds the
    true classes, ``groups`` whom each sample comes from.

    Raises:
        DatasetError: it cannot be read, or lacks an input.
    """
    arrays = _arrays(path)
    names = feeds(model)
    windows = {}
    for name in names:
        key = name if name in arrays else "x" if len(names) == 1 and "x" in arrays else None
        if key is None:
            raise DatasetError(
                f"{path}: input {name!r} is missing",
                expected=f"an array named {name!r}" + (" or 'x'" if len(names) == 1 else ""),
                found=first_of(arrays, 8) or "no arrays",
            )
        if arrays[key].ndim < 1 or not len(arrays[key]):
            raise DatasetError(f"{path}: {key}", expected="samples [n, …]", found=list(arrays[key].shape))
        windows[name] = arrays[key]
    total = len(next(iter(windows.values())))
    labels = next((arrays[key] for key in ("labels", "y") if key in arrays), None)
    if labels is not None and labels.dtype.kind not in "iu":
        raise DatasetError(f"{path}: labels", expected="integers from 0", found=labels.dtype)
    for key, array in {**windows, "labels": labels, **_more(arrays)}.items():
        if array is not None and (len(array) != total if array.ndim else True):
            raise DatasetError(
                f"{path}: {key}", expected=f"{total}, one for each sample", found=list(array.shape)
            )
    used = (
        np.flatnonzero(~arrays["calibration"].astype(bool)) if "calibration" in arrays else np.arange(total)
    )
    if not len(used):
        raise DatasetError(f"{path}: samples", expected="some that are not for calibration", found="none")
    return Cases(
        windows_of({name: array[used] for name, array in windows.items()}),
        labels[used].astype(np.int64) if labels is not None and labels.ndim == 1 else None,
        tuple(arrays["groups"].astype(str)[used].tolist()) if "groups" in arrays else None,
        path.name,
    )


def random(subject: Subject, model: Model, count: int = RANDOM_CASES) -> Cases:
    """Inputs of every size that the model can tell apart; the same at every call."""
    rng = np.random.default_rng(11)
    ports = {port.name: port for port in model.runtime.inputs}
    tensors = dict(zip((port.name for port in model.runtime.inputs), subject.graph.inputs, strict=True))
    windows = {
        name: _drawn(rng, ports[name], _reach(subject.graph, tensors[name]), count) for name in feeds(model)
    }
    return Cases(
        windows_of(windows), None, None, "random inputs", "no --data: random inputs, accuracy unknown"
    )


def _drawn(rng: np.random.Generator, port: Port, reach: float, count: int) -> NDArray[Any]:
    shape, kind = (count, *port.window_shape), np.dtype(port.dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
        values[0], values[1 % count] = limits.min, limits.max
        return values
    spread = rng.choice([0.1, 1.0, 10.0], (count, *(1 for _ in port.window_shape)))
    return np.asarray(rng.normal(size=shape) * spread * reach, kind)


def _reach(graph: Graph, index: int) -> float:
    """The middle of what a float input that is quantized can say; 1 for another."""
    for op in graph.ops:
        if op.name == "QUANTIZE" and op.inputs[0] == index and graph.tensors[op.outputs[0]].scale.size == 1:
            return 12 * float(graph.tensors[op.outputs[0]].scale[0])
    return 1.0


def _source(folder: Path, contract: Contract | None) -> Source:
    lineage = contract.lineage if contract else None
    dataset = Dataset.load(folder)
    if lineage is not None and lineage.dataset == dataset.digest:
        split = dataset.split(lineage.seed or 0)
        return Source(dataset, split.train, split.test, lineage.seed or 0)
    found = find_source({}, folder)
    assert found is not None  # a folder was given
    return found


def _fed(graph: Graph, contract: Contract | None) -> list[int]:
    """Inputs that windows feed: not those that remember."""
    states = [tensor.state for tensor in contract.tensors if tensor.role == "input"] if contract else []
    if len(states) != len(graph.inputs):
        return graph.inputs
    return [index for index, state in zip(graph.inputs, states, strict=True) if state is None]


def _more(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {key: arrays[key] for key in ("groups", "calibration") if key in arrays}


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():  # opening a pipe would wait for ever
        raise DatasetError(f"{path}: no such file", expected="an .npz with an array for each input")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            size = sum(member.file_size for member in archive.zip.infolist())
            if size <= _MOST_BYTES:
                return {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        remedy = "write it with numpy.savez(file, x=windows, labels=classes)"
        raise DatasetError(
            f"{path} is not a usable .npz", found=one_line(error)[:200], remedy=remedy
        ) from error
    raise DatasetError(
        f"{path} is too large", expected=f"at most {_MOST_BYTES >> 30} GiB unpacked", found=f"{size:,} bytes"
    )
