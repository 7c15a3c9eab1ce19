"""Evidence from a dataset folder: windows to measure ranges on, others, never trained on, to judge with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.evidence import Evidence, choose, counted, fit
from converters.figures import Truth
from edge_sdk.contract import Channel, Contract, Input, Lineage, Output, Reference, Statistics
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.dataset.truth import NORMAL
from edge_sdk.errors import DatasetError, ModelError
from edge_sdk.graph import Tensor
from edge_sdk.modelfile import RUN

#: What a window is that is not normal.
ANOMALY = "anomaly"


@dataclass(frozen=True)
class Source:
    """A dataset and the groups that were, or shall be, trained and tested on.

    Attributes:
        dataset: the folder.
        train: groups that representative windows come from.
        test: groups that judge the result.
        seed: of the split, and of the choice of representative windows.
        note: one line where the split is not the one that the model was trained with.
    """

    dataset: Dataset
    train: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    note: str | None = None


def find_source(members: Mapping[str, bytes], data: Path | None) -> Source | None:
    """Where a model's windows come from: the folder that was given, else the one it was trained on.

    Args:
        members: the edgeml members of a .keras file.
        data: a dataset folder, or None.

    Returns:
        None where neither the user nor the model names a dataset.

    Raises:
        DatasetError: the dataset has moved or changed, or is malformed.
    """
    run = _read_run(members)
    split = run.get("split", {})
    train, test = tuple(split.get("train", ())), tuple(split.get("test", ()))
    seed = int(run.get("seed") or 0)
    if data is not None:
        dataset = Dataset.load(data)
        if train and test and {*train, *test} <= set(dataset.groups):
            return Source(dataset, train, test, seed)
        anew = dataset.split(seed)
        known = "none of the model's groups are in it" if run else "what the model was trained on is unknown"
        note = f"{data} was split anew with seed {seed}: {known}"
        return Source(dataset, anew.train, anew.test, seed, note)
    if not run:
        return None
    folder, digest = Path(run["dataset"]["path"]), run["dataset"]["digest"]
    remedy = "say where it is with --data DIR"
    if not folder.is_dir():
        raise DatasetError(f"the model's dataset {folder} is not there", remedy=remedy)
    dataset = Dataset.load(folder)
    if dataset.digest != digest:
        raise DatasetError(
            f"the dataset {folder} has changed since the model was trained on it",
            expected=digest[:19] + "…",
            found=dataset.digest[:19] + "…",
            remedy="train again, or take it as it is with --data " + str(folder),
        )
    return Source(dataset, train, test, seed)


def gather(source: Source, contract: Contract, tensor: Tensor, count: int) -> Evidence:
    """Cut the windows that a conversion needs.

    Args:
        source: dataset and groups.
        contract: says window, hop, channel order and label order.
        tensor: the model's input.
        count: how many representative windows; fewer where there are fewer.

    Raises:
        DatasetError: the dataset lacks a channel or a label of the model, or has no window.
        ModelError: its windows do not fit the model's input.
    """
    dataset, expect = source.dataset, contract.input
    names = [channel.name for channel in dataset.channels]
    missing = [name for name in expect.names if name not in names]
    if missing:
        raise DatasetError(
            f"{dataset.folder}: channel {missing[0]!r} is missing",
            expected=", ".join(expect.names),
            found=", ".join(names),
            remedy="give the dataset that the model was made for",
        )
    columns = [names.index(name) for name in expect.names]
    train = dataset.windows(source.train, expect.window, expect.hop)
    test = dataset.windows(source.test, expect.window, expect.hop)
    chosen = _choose(train, dataset.task, count, source.seed)
    representative, judging = (fit(x[..., columns], tensor) for x in (train.x[chosen], test.x))
    if representative is None or judging is None:
        raise ModelError(
            f"{contract.name}: the model does not fit {dataset.folder}",
            expected=f"an input of {list(test.x.shape[1:])}",
            found=list(tensor.shape[1:]),
            remedy="give the dataset that the model was made for",
        )
    notes = (source.note,) if source.note else ()
    if contract.task != dataset.task:
        unlike = f"{dataset.folder} is for {dataset.task}, the model for {contract.task}: it cannot be judged"
        return Evidence((representative,), (judging,), groups=tuple(test.group), notes=(*notes, unlike))
    if contract.task != "classification":
        truth, of_calibration = _truth(test, dataset, contract), _truth(train.at(chosen), dataset, contract)
        return Evidence(
            (representative,),
            (judging,),
            groups=tuple(test.group),
            notes=notes,
            truth=truth,
            calibration_truth=of_calibration,
        )
    return Evidence(
        (representative,),
        (judging,),
        _as_model_labels(test, dataset, contract),
        tuple(test.group),
        calibration_labels=_as_model_labels(train, dataset, contract)[chosen],
        counts=counted([dataset.labels[i] for i in train.y[chosen]]),
        notes=notes,
    )


def contract_for(source: Source, name: str, shape: list[int], outputs: int) -> Contract:
    """The contract of a foreign model, from the dataset it is converted with.

    Args:
        source: dataset and groups.
        name: of the model.
        shape: of its input without the batch axis.
        outputs: how many scores it gives.

    Raises:
        ModelError: the model's input or output does not fit the dataset.
    """
    dataset = source.dataset
    image = dataset.layout == "HWC"
    channels = shape[-1] if len(shape) > 1 else 1
    if channels != len(dataset.channels):
        raise ModelError(
            f"{name}: the model does not fit {dataset.folder}",
            expected=f"an input with {len(dataset.channels)} channels",
            found=shape,
            remedy="give the dataset that the model was made for",
        )
    expected = {
        "regression": (len(dataset.targets), "one for each target"),
        "anomaly": (1, "the higher the less normal"),
    }.get(dataset.task, (len(dataset.labels), "one for each label"))
    if outputs != expected[0]:
        raise ModelError(
            f"{name}: the model does not fit {dataset.folder}",
            expected=f"{expected[0]} scores, {expected[1]}",
            found=outputs,
            remedy="give the dataset that the model was made for",
        )
    window = 1 if image else shape[0]
    hop = 1 if image else max(window // 2, 1)
    return Contract(
        name=name,
        task=dataset.task,
        input=Input(
            tuple(Channel(c.name, c.unit, c.range) for c in dataset.channels),
            dataset.rate_hz,
            window,
            hop,
            layout=dataset.layout,
        ),
        output=output_of(dataset),
        reference=Reference(_statistics(dataset.windows(source.train, window, hop))),
        lineage=Lineage(dataset=dataset.digest, split=dataset.group, seed=source.seed),
    )


def output_of(dataset: Dataset) -> Output:
    """What the numbers stand for that a model says which learned from this dataset."""
    if dataset.task == "regression":
        return Output(scores="value", values=dataset.targets)
    if dataset.task == "anomaly":
        return Output((dataset.labels[0] if dataset.labels else NORMAL, ANOMALY), "value")
    return Output(dataset.labels)


def _choose(train: Windowed, task: str, count: int, seed: int) -> NDArray[np.int64]:
    """Which training windows ranges are measured on: as many of each label, or of each quarter of a value."""
    if task == "anomaly":
        normal = np.flatnonzero(train.y == 0)
        chosen = choose(np.zeros(len(normal), np.int64), count, seed)
        return np.asarray(normal[chosen], np.int64)
    if task == "multilabel":
        return choose(np.unique(train.y, axis=0, return_inverse=True)[1].ravel(), count, seed)
    if task == "regression":
        value = train.y[:, 0]
        return choose(np.digitize(value, np.quantile(value, (0.25, 0.5, 0.75))), count, seed)
    return choose(train.y, count, seed)


def _truth(windows: Windowed, dataset: Dataset, contract: Contract) -> Truth:
    """What is true of windows, in the order of the contract's labels or values."""
    values, output = windows.y, contract.output
    if contract.task == "multilabel":
        values = windows.y[:, _columns(dataset, dataset.labels, output.labels, "label")]
    elif contract.task == "regression":
        named = [target.name for target in dataset.targets]
        wanted = [value.name for value in output.values or dataset.targets]
        values = windows.y[:, _columns(dataset, named, wanted, "target")]
    labels = dataset.labels if contract.task == "anomaly" else output.labels
    threshold = contract.decision.threshold
    return Truth(
        contract.task, values, tuple(windows.group), labels, output.values or dataset.targets, threshold
    )


def _columns(dataset: Dataset, there: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    missing = [name for name in wanted if name not in there]
    if missing:
        raise DatasetError(
            f"{dataset.folder}: {what} {missing[0]!r} is missing",
            expected=", ".join(wanted),
            found=", ".join(there),
            remedy="give the dataset that the model was made for",
        )
    return [list(there).index(name) for name in wanted]


def _statistics(windows: Windowed) -> Statistics:
    flat = windows.x.reshape(-1, windows.x.shape[-1]).astype(np.float64)
    mean, std = flat.mean(axis=0), flat.std(axis=0)
    return Statistics(tuple(round(float(v), 6) for v in mean), tuple(round(float(v), 6) for v in std))


def _as_model_labels(windows: Windowed, dataset: Dataset, contract: Contract) -> NDArray[np.int64]:
    """The windows' labels as indices into the contract's labels."""
    labels = contract.output.labels
    used = {dataset.labels[i] for i in np.unique(windows.y)}
    unknown = sorted(used - set(labels))
    if unknown:
        raise DatasetError(
            f"{dataset.folder}: the model does not know the label {unknown[0]!r}",
            expected=", ".join(labels),
            found=", ".join(dataset.labels),
            remedy="give the dataset that the model was made for",
        )
    lookup = np.array([labels.index(label) if label in used else -1 for label in dataset.labels], np.int64)
    return np.asarray(lookup[windows.y], np.int64)


def _read_run(members: Mapping[str, bytes]) -> dict[str, Any]:
    if RUN not in members:
        return {}
    try:
        run = json.loads(members[RUN])
        facts, split, seed = run["dataset"], run["split"], run.get("seed") or 0
        texts = [facts["path"], facts["digest"], *split["train"], *split["test"]]
        if not isinstance(seed, int) or seed < 0 or not all(isinstance(text, str) for text in texts):
            raise TypeError("a field of another type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{RUN} in the model is damaged", found=repr(error), remedy="train it again"
        ) from error
    return dict(run)
