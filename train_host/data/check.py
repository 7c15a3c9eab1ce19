"""Looks through a dataset folder for what would spoil a model, and says it plainly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Signal, truth
from edge_sdk.errors import DatasetError, EdgeError, first_of
from train_host.data import census, leakage, portrait
from train_host.data.finding import Finding, Severity
from train_host.data.portrait import Portrait
from train_host.windows import windowing

#: A channel that shows the same value for so long is stuck, s; and for at least so many samples.
STUCK_S, STUCK_SAMPLES = 1.0, 25
#: A run of so many equal extremes is a clipped peak; with less than so many values a channel is a switch.
CLIP_RUN, CLIP_SHARE, CLIP_VALUES = 3, 0.005, 16
#: Where a slow signal in coarse steps turns, it stays up to so many times as long as on its way.
CLIP_TURN = 4
#: A step between two times that is so many periods long is a gap.
GAP = 1.5


@dataclass(frozen=True)
class Checked:
    """What a check found, and how much it looked at.

    Attributes:
        amount: per label, seconds of signal or number of images.
        portraits: what the recordings are like, of those that could be read.
    """

    findings: tuple[Finding, ...]
    dataset: Dataset | None = None
    amount: dict[str, float] | None = None
    portraits: tuple[Portrait, ...] = ()

    def count(self, severity: Severity) -> int:
        """How many findings there are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return self.count("error")


def size(folder: Path) -> int:
    """How many recordings `check` will look at."""
    try:
        return len(Dataset.load(folder).recordings)
    except DatasetError:
        return 0


def check(
    folder: Path, window: int | None = None, on_file: Callable[[str], None] = lambda file: None
) -> Checked:
    """Check a dataset folder.

    Args:
        folder: the dataset.
        window: samples that a recording must have at least; None means as many as `edgeml train` would take.
        on_file: called after each recording.
    """
    try:
        dataset = Dataset.load(folder)
    except DatasetError as error:
        return Checked((_from(error, ""),))
    lengths: list[tuple[str, int]] = []
    findings: list[Finding] = []
    amount = dict.fromkeys(dataset.labels, 0.0)
    copies = leakage.Copies(dataset)
    portraits: list[Portrait] = []
    for index, recording in enumerate(dataset.recordings):
        try:
            signal = dataset.read(recording)
        except DatasetError as error:
            findings.append(_from(error, recording.file))
        else:
            findings += _of_signal(dataset, recording.file, signal)
            if not signal.is_image:
                lengths.append((recording.file, len(signal.samples)))
            copies.add(index, signal)
            portraits.append(portrait.draw(index, recording, signal))
            for label in truth.labels_of(dataset, recording):
                amount[label] += 1.0 if signal.is_image else signal.duration_s or float(len(signal.samples))
        on_file(recording.file)
    findings += [
        *_of_lengths(lengths, window or _usual(dataset)),
        *copies.findings(),
        *census.findings(dataset, amount),
        *(
            Finding(
                "hint", dataset.recordings[doubt.index].file, doubt.what, "look at it: is its label right?"
            )
            for doubt in portrait.doubts(dataset, portraits)
        ),
    ]
    order = ("error", "warning", "hint")
    findings.sort(key=lambda finding: (order.index(finding.severity), finding.file))
    return Checked(tuple(findings), dataset, amount, tuple(portraits))


def _of_signal(dataset: Dataset, file: str, signal: Signal) -> Iterator[Finding]:
    samples = signal.samples
    bad = np.logical_not(np.isfinite(samples)).reshape(-1, samples.shape[-1])
    if bad.any():
        names = [dataset.channels[index].name for index in np.flatnonzero(bad.any(axis=0))]
        what = f"NaN or inf in {first_of(names)} ({int(bad.sum())} of {samples.size} values)"
        yield Finding(
            "error", file, what, "cut the piece out, or fill short holes: edgeml data import --fill-s 0.1"
        )
    for index, channel in enumerate(dataset.channels):
        column = samples[..., index].ravel()
        column = column[np.isfinite(column)]
        if len(column):
            yield from _of_channel(file, channel, column, None if signal.is_image else signal.rate_hz)
    if signal.is_image:
        return
    if signal.time_s is not None and signal.rate_hz:
        gaps = int((np.diff(signal.time_s) > GAP / signal.rate_hz).sum())
        if gaps:
            yield Finding(
                "warning",
                file,
                f"{gaps} gaps in the time column",
                "cut it there: windows would span them",
            )


def _usual(dataset: Dataset) -> int:
    """Samples of a window where nobody says it; 0 where there is nothing to say."""
    try:
        return windowing.usual(dataset)
    except EdgeError:  # what cannot be read has a finding of its own
        return 0


def _of_lengths(lengths: Sequence[tuple[str, int]], window: int) -> Iterator[Finding]:
    """Recordings that give no window."""
    for file, length in lengths:
        if length < window:
            what = f"{length} samples, shorter than a window of {window}"
            remedy = "record longer or train with a shorter --window: it gives no window"
            yield Finding("warning", file, what, remedy)


def _of_channel(
    file: str, channel: Channel, column: NDArray[np.float32], rate_hz: float | None
) -> Iterator[Finding]:
    """Findings about the finite values of one channel; an image has no rate, and no runs to look at."""
    low, high = float(column.min()), float(column.max())
    if channel.range is not None and (low < channel.range[0] or high > channel.range[1]):
        beyond = int(((column < channel.range[0]) | (column > channel.range[1])).sum())
        bounds = f"{channel.range[0]:g} to {channel.range[1]:g} {channel.unit}".strip()
        what = f"{channel.name} leaves its range of {bounds} ({beyond} samples, {low:g} to {high:g})"
        yield Finding("warning", file, what, "correct unit or range in dataset.toml, or the recording")
    if rate_hz is None:
        return
    starts, lengths = _runs(column)
    longest = int(lengths.argmax())
    if lengths[longest] >= max(STUCK_S * rate_hz, STUCK_SAMPLES):
        if len(lengths) == 1:
            what = f"{channel.name} is {low:g} throughout"
        else:
            begins, lasts = starts[longest] / rate_hz, lengths[longest] / rate_hz
            value = column[starts[longest]]
            what = f"{channel.name} is stuck at {value:g} for {lasts:.1f} s from {begins:.1f} s on"
        yield Finding("warning", file, what, "check the sensor and its wiring")
        return
    values = column[starts]
    extreme = (values == low) | (values == high)
    usual = int(lengths[~extreme].max(initial=1))
    least = CLIP_RUN if usual == 1 else CLIP_TURN * usual + 1
    clipped = int(lengths[extreme & (lengths >= least)].sum())
    if clipped >= CLIP_SHARE * len(column) and len(np.unique(values)) >= CLIP_VALUES:
        what = f"{channel.name} is clipped at {low:g} or {high:g} ({clipped} of {len(column)} samples)"
        yield Finding("warning", file, what, "set a larger measuring range, or less gain, and record again")


def _runs(column: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of equal values start, and how long they are."""
    starts = np.concatenate([[0], np.flatnonzero(column[1:] != column[:-1]) + 1])
    return starts, np.diff(np.concatenate([starts, [len(column)]]))


def _from(error: DatasetError, file: str) -> Finding:
    """A finding that says what an error says, the file only once."""
    what = error.what
    if file and file in what:
        what = what.split(file, 1)[1].lstrip(": ")
    facts = [
        f"expected {error.expected}" if error.expected else "",
        f"found {error.found}" if error.found else "",
    ]
    tail = ", ".join(fact for fact in facts if fact)
    return Finding(
        "error", file, f"{what}: {tail}" if tail else what, error.remedy or "correct it, or remove it"
    )
