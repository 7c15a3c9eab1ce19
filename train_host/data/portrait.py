"""What recordings are like, in a few numbers: enough to find those that are unlike others of their label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Recording, Signal
from train_host.data.lookalikes import thumbnail

#: Bands of a spectrum, samples of a frame of it, and channels that are looked at.
_BANDS, _FRAME, _CHANNELS = 8, 128, 12
#: Side of an image's thumbnail.
_SIDE = 8
#: Neighbours that are asked for a label, and how many must agree on another one.
_NEIGHBOURS, _AGREE = 7, 6
#: Neighbours say nothing where they are right about fewer recordings than this.
_TRUSTED = 0.8
#: Recordings that are asked at most, drawn evenly.
_ASKED = 4000
#: So many times the usual distance from the middle is far; of fewer recordings nothing is usual.
_FAR, _USUAL = 6.0, 8
_TINY = 1e-12
_UNUSUAL = {"length": ("shorter", "longer"), "level": ("weaker", "stronger")}


@dataclass(frozen=True)
class Portrait:
    """One recording.

    Attributes:
        index: its place in the dataset.
        label: of it; None where nobody has said.
        group: whose it is.
        length: s, or samples where there is no rate; of an image 1.
        level: RMS of what is not constant, over all channels in their units; of an image its contrast.
        features: float32 [k], what neighbours are found by; as many for each recording of a dataset.
        low: float64 [channels], smallest values.
        high: float64 [channels], largest values.
        mean: float64 [channels].
        power: float64 [channels], mean squares.
    """

    index: int
    label: str | None
    group: str
    length: float
    level: float
    features: NDArray[np.float32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    power: NDArray[np.float64]


@dataclass(frozen=True)
class Doubt:
    """A recording that looks as if it were something else.

    Attributes:
        index: its place in the dataset.
        what: in words.
    """

    index: int
    what: str


def draw(index: int, recording: Recording, signal: Signal) -> Portrait:
    """A portrait of one recording; values that are no numbers are left out."""
    samples = np.nan_to_num(signal.samples, posinf=0.0, neginf=0.0)
    if signal.is_image:
        level = float(samples.std())
        features = np.concatenate([thumbnail(plane, _SIDE).ravel() for plane in np.moveaxis(samples, 2, 0)])
        length = 1.0
    else:
        columns = samples.T[:_CHANNELS].astype(np.float64)
        level = float(np.sqrt(columns.var(axis=1).mean()))
        features = np.concatenate([_of_channel(column) for column in columns])
        length = signal.duration_s or float(len(samples))
    kept = features.astype(np.float32)
    rows = samples.reshape(-1, samples.shape[-1]).astype(np.float64)
    seen = (rows.min(axis=0), rows.max(axis=0), rows.mean(axis=0), (rows**2).mean(axis=0))
    return Portrait(index, recording.label, recording.group, length, level, kept, *seen)


def doubts(dataset: Dataset, portraits: Sequence[Portrait]) -> Iterator[Doubt]:
    """Recordings whose nearest ones of other groups agree on another label, where neighbours know labels."""
    if dataset.task != "classification" or len(dataset.labels) < 2:
        return
    known = [portrait for portrait in portraits if portrait.label is not None]
    asked = known[:: max(1, -(-len(known) // _ASKED))]
    if len({portrait.group for portrait in asked}) < 2:
        return
    votes = _votes(known, asked, dataset.labels)
    own = np.array([dataset.labels.index(portrait.label or "") for portrait in known])
    heard = votes.sum(axis=1) == _NEIGHBOURS
    right = (votes.argmax(axis=1) == own)[heard]
    if not len(right) or right.mean() < _TRUSTED:
        return
    for i in np.flatnonzero(heard & (votes.max(axis=1) >= _AGREE) & (votes[np.arange(len(own)), own] == 0)):
        other = dataset.labels[int(votes[i].argmax())]
        agree = (
            f"{int(votes[i].max())} of the {_NEIGHBOURS} recordings of other {dataset.group}s most like it"
        )
        what = f"is called {known[i].label!r}, but {agree} are called {other!r}"
        yield Doubt(known[i].index, what)


def outliers(portraits: Sequence[Portrait]) -> Iterator[Doubt]:
    """Recordings that are much longer, shorter, louder or quieter than is usual for their label."""
    for label in dict.fromkeys(portrait.label for portrait in portraits):
        of_label = [portrait for portrait in portraits if portrait.label == label]
        if len(of_label) < _USUAL:
            continue
        for name, words in _UNUSUAL.items():
            values = np.log([max(getattr(portrait, name), _TINY) for portrait in of_label])
            middle = float(np.median(values))
            usual = max(1.4826 * float(np.median(np.abs(values - middle))), math.log(1.15))
            for i in np.flatnonzero(np.abs(values - middle) > _FAR * usual):
                times = math.exp(abs(values[i] - middle))
                word = words[int(values[i] > middle)]
                factor = f"{times:.0f} times" if times < 1000 else "over 1000 times"
                what = f"{factor} {word} than is usual for {label or 'recordings without label'!r}"
                yield Doubt(of_label[i].index, what)


def _votes(
    known: Sequence[Portrait], asked: Sequence[Portrait], labels: tuple[str, ...]
) -> NDArray[np.int64]:
    """int64 [recordings, labels]: what the nearest ones of other groups are."""
    table = np.stack([portrait.features for portrait in known]).astype(np.float64)
    spread = table.std(axis=0)
    used = spread > _TINY
    scaled = ((table - table.mean(axis=0))[:, used] / spread[used]).astype(np.float32)
    places = {portrait.index: i for i, portrait in enumerate(known)}
    at = np.array([places[portrait.index] for portrait in asked])
    reference = scaled[at]
    kinds = np.array([labels.index(portrait.label or "") for portrait in asked])
    names = {name: i for i, name in enumerate(dict.fromkeys(portrait.group for portrait in known))}
    groups = np.array([names[portrait.group] for portrait in known])
    squares = (reference**2).sum(axis=1)
    votes = np.zeros((len(known), len(labels)), np.int64)
    for start in range(0, len(known), 512):
        rows = slice(start, start + 512)
        apart = squares[None] - 2 * scaled[rows] @ reference.T
        apart[groups[rows, None] == groups[at][None]] = np.inf
        count = min(_NEIGHBOURS, apart.shape[1])
        nearest = np.argpartition(apart, count - 1, axis=1)[:, :count]
        reached = np.isfinite(np.take_along_axis(apart, nearest, axis=1))
        for row, (near, found) in enumerate(zip(nearest, reached, strict=True)):
            votes[start + row] = np.bincount(kinds[near[found]], minlength=len(labels))
    return votes


def _of_channel(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [4 + 2 bands]: mean, spread, extremes, and a spectrum on a scale of octaves."""
    mean = values.mean()
    low, high = np.quantile(values, (0.02, 0.98))
    frame = min(_FRAME, 1 << max(len(values).bit_length() - 1, 1))
    padded = np.pad(values - mean, (0, max(0, frame - len(values))))
    starts = np.arange(0, len(padded) - frame + 1, max(frame // 2, -(-len(padded) // 512)))
    frames = padded[starts[:, None] + np.arange(frame)] * np.hanning(frame)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / frame
    edges = np.unique(np.round(np.geomspace(1, frame // 2 + 1, _BANDS + 1)).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-9)
    spectrum = np.zeros(2 * _BANDS)
    spectrum[: bands.shape[1]] = bands.mean(axis=0)
    spectrum[_BANDS : _BANDS + bands.shape[1]] = bands.std(axis=0)
    return np.concatenate([[mean, np.log(values.std() + 1e-6), low, high], spectrum])
