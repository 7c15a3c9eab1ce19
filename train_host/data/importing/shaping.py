"""A piece as the dataset wants it: its channels, one rate, one length at least, images of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_sdk.dataset import RATE_TOLERANCE, Facts
from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal
from train_host.data.importing import rates
from train_host.data.importing.request import Piece, Request

#: Steps in time that differ by more than this share are uneven.
_UNEVEN = 0.02


def mixed(signal: Signal, path: Path) -> Signal:
    """The sound of all channels in one.

    Raises:
        DatasetError: the channels have names, so it is no sound.
    """
    if signal.channels or signal.is_image:
        raise DatasetError(f"{path}: --mono", expected="a sound", found=", ".join(signal.channels))
    if signal.samples.shape[1] == 1:
        return signal
    return Signal(signal.samples.mean(axis=1, keepdims=True, dtype=np.float32), signal.rate_hz)


def shaped(piece: Piece, request: Request, facts: Facts) -> Signal:
    """What is written; the piece's own signal where nothing had to be done.

    Raises:
        DatasetError: it lacks a channel, has another rate, or another size.
    """
    wanted = tuple(channel.name for channel in facts.channels)
    signal = mixed(piece.signal, piece.path) if request.mono else piece.signal
    signal = _selected(piece.path, signal, wanted)
    if signal.is_image:
        return signal
    if request.fill_s is not None:
        signal = _filled(signal, round(request.fill_s * (signal.rate_hz or facts.rate_hz or 0.0)))
    if request.resample and facts.rate_hz:
        signal = _resampled(piece.path, signal, facts.rate_hz)
    _check_rate(piece.path, signal, facts.rate_hz)
    missing = round((request.pad_s or 0.0) * (facts.rate_hz or 0.0)) - len(signal.samples)
    if missing > 0:
        sides = ((missing // 2, missing - missing // 2), (0, 0))
        signal = Signal(np.pad(signal.samples, sides), signal.rate_hz, signal.channels)
    return signal


def check_size(path: Path, signal: Signal, size: tuple[int, ...]) -> None:
    """See that an image is as large as the first one."""
    if signal.is_image and signal.samples.shape[:2] != size:
        raise DatasetError(
            f"{path}: size",
            expected="×".join(map(str, size)),
            found="×".join(map(str, signal.samples.shape[:2])),
            remedy=f"bring all to one: --size {size[0]}x{size[1]}",
        )


def _selected(path: Path, signal: Signal, wanted: tuple[str, ...]) -> Signal:
    """The wanted channels of a signal; the signal itself where it has exactly these."""
    found, count = signal.channels, signal.samples.shape[-1]
    if wanted == found or (not found and len(wanted) == count):
        return signal
    if not found or not set(wanted) <= set(found):
        shown = ", ".join(found) or f"{count} without names"
        remedy = "choose with --channels NAME:UNIT,…"
        if not found:
            remedy = "mix them into one with --mono, or name them with --channels"
        elif signal.is_image:
            remedy = "bring all to one with --colour gray or rgb"
        raise DatasetError(f"{path}: channels", expected=", ".join(wanted), found=shown, remedy=remedy)
    columns = [found.index(name) for name in wanted]
    samples = np.ascontiguousarray(signal.samples[..., columns])
    return Signal(samples, signal.rate_hz, wanted, signal.time_s)


def _filled(signal: Signal, most: int) -> Signal:
    """The same with straight lines over holes of up to so many samples; the signal itself where none are.

    At the ends of a recording the nearest value goes on.
    """
    if np.isfinite(signal.samples).all():
        return signal
    samples = signal.samples.copy()
    for column in samples.T:
        known = np.isfinite(column)
        edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(np.int8)))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end - start <= most and known.any():
                column[start:end] = np.interp(np.arange(start, end), np.flatnonzero(known), column[known])
    return Signal(samples, signal.rate_hz, signal.channels, signal.time_s)


def _resampled(path: Path, signal: Signal, rate_hz: float) -> Signal:
    if signal.rate_hz is None:
        raise DatasetError(f"{path}: --resample", expected="a file that tells its rate", found="no rate")
    samples = signal.samples
    if not np.isfinite(samples).all() and signal.rate_hz != rate_hz:
        remedy = "fill the values, such as with --fill-s 0.1, or cut the piece out"
        raise DatasetError(f"{path}: --resample", expected="numbers", found="NaN or inf", remedy=remedy)
    steps = np.empty(0) if signal.time_s is None else np.diff(signal.time_s)
    if signal.time_s is not None and len(steps) and np.ptp(steps) * signal.rate_hz > _UNEVEN:
        samples = rates.evened(samples, signal.time_s, signal.rate_hz)
    elif signal.rate_hz == rate_hz:
        return signal
    return Signal(rates.resample(samples, signal.rate_hz, rate_hz), rate_hz, signal.channels)


def _check_rate(path: Path, signal: Signal, rate_hz: float | None) -> None:
    if rate_hz and signal.rate_hz and abs(signal.rate_hz / rate_hz - 1) > RATE_TOLERANCE:
        raise DatasetError(
            f"{path}: recorded at another rate",
            expected=f"{rate_hz:g} Hz",
            found=f"{signal.rate_hz:.4g} Hz",
            remedy="give --resample, or import each rate into a dataset of its own",
        )
