"""One recording as its dataset describes it: the channels in order, at the rate, the piece that is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk import recordings
from edge_sdk.dataset.facts import FACTS, RATE_TOLERANCE, Facts
from edge_sdk.dataset.manifest import Recording
from edge_sdk.errors import DatasetError, first_of
from edge_sdk.recordings import Signal


def read(path: Path, facts: Facts, recording: Recording, *, is_image: bool) -> Signal:
    """The samples of one recording.

    Args:
        path: its file.
        facts: what dataset.toml says of it.
        recording: what the listing says of it.
        is_image: whether the dataset is one of images.

    Raises:
        DatasetError: the file is malformed, lacks a channel, or was recorded at another rate.
    """
    names = tuple(channel.name for channel in facts.channels)
    signal = recordings.read(path, names)
    if signal.is_image != is_image:
        raise DatasetError(f"{path}: images and signals do not mix", remedy="make a dataset of each")
    samples = _columns(path, signal, names)
    if facts.rate_hz and signal.rate_hz and abs(signal.rate_hz / facts.rate_hz - 1) > RATE_TOLERANCE:
        raise DatasetError(
            f"{path}: recorded at another rate",
            expected=f"{facts.rate_hz:g} Hz",
            found=f"{signal.rate_hz:.4g} Hz",
            remedy=f"resample it, or correct rate_hz in {FACTS}",
        )
    return _piece(path, Signal(samples, facts.rate_hz or signal.rate_hz, names, signal.time_s), recording)


def _columns(path: Path, signal: Signal, names: tuple[str, ...]) -> NDArray[np.float32]:
    """The samples with the channels of these names, in their order; a file without names has them already."""
    samples = signal.samples
    as_they_are = signal.is_image and samples.shape[2] == len(names)
    if signal.channels and signal.channels != names and not as_they_are:
        missing = [name for name in names if name not in signal.channels]
        if missing:
            raise DatasetError(
                f"{path}: channel {missing[0]!r} is missing",
                expected=", ".join(names),
                found=", ".join(signal.channels),
                remedy=f"rename the column, or change channels in {FACTS}",
            )
        samples = np.ascontiguousarray(samples[..., [signal.channels.index(name) for name in names]])
    if samples.shape[-1] != len(names):
        raise DatasetError(
            f"{path}: channels", expected=f"{len(names)} ({first_of(names)})", found=samples.shape[-1]
        )
    return samples


def _piece(path: Path, signal: Signal, recording: Recording) -> Signal:
    """The part of a signal that start_s and end_s name."""
    if recording.start_s is None and recording.end_s is None:
        return signal
    if signal.is_image or not signal.rate_hz:
        raise DatasetError(f"{path}: start_s and end_s", expected="a signal with a rate", found="none")
    start = round((recording.start_s or 0.0) * signal.rate_hz)
    end = len(signal.samples) if recording.end_s is None else round(recording.end_s * signal.rate_hz)
    if start >= len(signal.samples) or end > len(signal.samples):
        length = f"{signal.duration_s:.2f} s"
        raise DatasetError(
            f"{path}: {start / signal.rate_hz:g} to {end / signal.rate_hz:g} s", expected=length
        )
    time_s = None if signal.time_s is None else signal.time_s[start:end]
    return Signal(signal.samples[start:end], signal.rate_hz, signal.channels, time_s)
