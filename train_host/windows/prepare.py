"""Windows of a dataset, divided by a split, with the statistics of the training side. No TensorFlow here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel, Statistics
from edge_sdk.dataset import Dataset, Split, Windowed
from edge_sdk.errors import ConfigError, DatasetError, first_of

#: Units of the sensors whose three axes turn with the device that they are fixed in.
_TURNING = {"g", "mg", "m/s2", "m/s^2", "m/s²", "dps", "deg/s", "°/s", "rad/s", "ut", "µt", "gauss", "t"}


#: Values that statistics are taken of at once.
_BLOCK_VALUES = 1 << 20


@dataclass(frozen=True)
class Prepared:
    """What one training run works on.

    Attributes:
        statistics: per channel, over the training windows only.
    """

    split: Split
    train: Windowed
    validation: Windowed | None
    test: Windowed
    statistics: Statistics


def prepare(dataset: Dataset, windows: Windowed, split: Split) -> Prepared:
    """Divide windows by group.

    Args:
        dataset: for its name in errors.
        windows: of all groups.
        split: which group stands where.

    Raises:
        DatasetError: a side has no windows, or a label occurs in no training window.
    """
    sides = {}
    for name in ("train", "validation", "test"):
        groups = getattr(split, name)
        sides[name] = _learned(dataset, windows.of(groups), name) if groups else None
        if groups and not sides[name]:
            raise DatasetError(
                f"{dataset.folder}: no windows on the {name} side",
                found=f"{split.by} {', '.join(groups)} with recordings shorter than a window",
                remedy="take a shorter window, or record longer",
            )
    train, test = sides["train"], sides["test"]
    if train is None or test is None:
        raise DatasetError(
            f"{dataset.folder}: split", expected="groups to train on, and to test on", found=split
        )
    if absent := _absent(dataset, train):
        raise DatasetError(
            f"{dataset.folder}: nothing to learn label {absent[0]!r} from",
            expected=f"recordings of every label by {split.by} {first_of(split.train)}",
            remedy="record it with more groups, take another --seed, or remove the label in dataset.toml",
        )
    return Prepared(split, train, sides["validation"], test, statistics(train.x))


def _learned(dataset: Dataset, windows: Windowed, side: str) -> Windowed:
    """The windows of a side; an anomaly detector learns from, and is scaled on, normal ones alone."""
    if dataset.task != "anomaly" or side == "test":
        return windows
    return windows.at(np.flatnonzero(windows.y == 0))


def _absent(dataset: Dataset, train: Windowed) -> list[str]:
    """Labels that there is nothing to learn from."""
    if dataset.task == "classification":
        return [label for index, label in enumerate(dataset.labels) if not (train.y == index).any()]
    if dataset.task == "multilabel":
        return [label for index, label in enumerate(dataset.labels) if not train.y[:, index].any()]
    return []


def blocks(x: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Windows a few at a time, so that neither a disk's worth of them nor a copy need be in memory.

    Args:
        x: float32 [n, …], or windows in a file.
    """
    at_once = max(1, _BLOCK_VALUES // int(np.prod(x.shape[1:])))
    for start in range(0, len(x), at_once):
        yield np.asarray(x[start : start + at_once])


def statistics(x: NDArray[np.float32]) -> Statistics:
    """Mean and standard deviation of each channel.

    Args:
        x: float32 [n, …, channels].
    """
    count = 0
    mean, squares = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for part in blocks(x):
        block = part.reshape(-1, x.shape[-1]).astype(np.float64)
        middle = block.mean(axis=0)
        apart, total = middle - mean, count + len(block)
        squares += ((block - middle) ** 2).sum(axis=0) + apart**2 * (count * len(block) / total)
        mean += apart * (len(block) / total)
        count = total
    return Statistics(tuple(mean.tolist()), tuple(np.sqrt(squares / count).tolist()))


def triplets(
    channels: Sequence[Channel], named: Sequence[tuple[str, str, str]] | None = None
) -> list[tuple[int, int, int]]:
    """The sensors with three axes among the channels: names that differ in x, y, z only and share a unit.

    Args:
        channels: in column order.
        named: the triplets by name, where they are known better.

    Returns:
        Column indices of x, y, z.

    Raises:
        ConfigError: `named` has a channel that there is not.

    >>> triplets([Channel(n, "g") for n in ("ax", "ay", "az", "p")])
    [(0, 1, 2)]
    """
    index = {channel.name: at for at, channel in enumerate(channels)}
    if named is not None:
        for name in (name for triplet in named for name in triplet):
            if name not in index:
                raise ConfigError("triplets", expected=f"channels among {', '.join(index)}", found=name)
        return [(index[x], index[y], index[z]) for x, y, z in named]
    found = []
    for at, channel in enumerate(channels):
        for position, letter in enumerate(channel.name):
            if letter not in "xX":
                continue
            others = [_with(channel.name, position, chr(ord(letter) + step)) for step in (1, 2)]
            if not all(name in index for name in others):
                continue
            units = {channel.unit.lower(), *(channels[index[name]].unit.lower() for name in others)}
            if len(units) == 1 and units <= _TURNING | {""}:
                found.append((at, index[others[0]], index[others[1]]))
                break
    return found


def _with(name: str, position: int, letter: str) -> str:
    return name[:position] + letter + name[position + 1 :]
