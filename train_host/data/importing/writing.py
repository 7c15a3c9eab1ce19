"""Pieces into a dataset folder, which appears whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, write
from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal
from train_host.data.importing import shaping, sources
from train_host.data.importing.naming import Names
from train_host.data.importing.request import Advance, Piece, Request

#: What an 8-bit image holds.
_PIXELS = (0.0, 255.0)
#: What signals of these files are written as; others as csv.
_BINARY = {".npz": ".npz", ".wav": ".npz", ".cbor": ".npz", ".parquet": ".parquet", "": ".npz"}
#: A channel of such a name is a clock that nobody has declared.
_CLOCKS = {"time", "timestamp", "time_stamp", "epoch", "seconds_elapsed"}


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Attributes:
        notes: what the user should look at, one line each.
    """

    dataset: Dataset
    notes: tuple[str, ...] = ()


def run(request: Request, paths: Sequence[Path], advance: Advance = lambda count: None) -> Imported:
    """Import recordings.

    Args:
        request: what is known.
        paths: what to read, from `sources.find`.
        advance: called with the number of bytes that were read.

    Raises:
        DatasetError: a malformed file, unlike channels or rates, no label or group, or the folder exists.
        ConfigError: a pattern that is no regular expression.
        MissingExtraError: a format needs a package that is not installed.
    """
    names = Names(request)
    pieces = itertools.chain.from_iterable(sources.read(path, request, advance) for path in paths)
    first = next(pieces, None)
    if first is None:
        raise DatasetError(f"{paths[0]}: no recordings", expected="at least one row of samples")
    facts = _facts(request, first)

    def recordings() -> Iterator[NewRecording]:
        size: tuple[int, ...] = ()
        for piece in itertools.chain([first], pieces):
            signal = shaping.shaped(piece, request, facts)
            size = size or signal.samples.shape[:2]
            shaping.check_size(piece.path, signal, size)
            yield _recording(piece, signal, names.of(piece), request, facts)

    dataset = write(request.output, facts, recordings(), replace=request.replace)
    return Imported(dataset, (*_notes(facts), *names.notes.values()))


def _recording(
    piece: Piece, signal: Signal, names: tuple[str | None, str, str], request: Request, facts: Facts
) -> NewRecording:
    label, group, name = names
    suffix = f".{request.kind}" if request.kind else _BINARY.get(piece.path.suffix.lower(), ".csv")
    # as it is where nothing changes: the file keeps its time column, coding and digest
    kept = piece.whole and signal is piece.signal and (signal.is_image or not request.kind)
    if kept or (piece.whole and signal is piece.signal and piece.path.suffix.lower() == suffix):
        return NewRecording(piece.path, label, group, name, piece.split, target=piece.target)
    if not signal.is_image:
        signal = Signal(signal.samples, facts.rate_hz, tuple(channel.name for channel in facts.channels))
    written = ".png" if signal.is_image else suffix
    return NewRecording(signal, label, group, name, piece.split, written, piece.target)


def _facts(request: Request, first: Piece) -> Facts:
    signal = shaping.mixed(first.signal, first.path) if request.mono else first.signal
    rate = None if signal.is_image else request.rate_hz or signal.rate_hz
    if rate is None and not signal.is_image:
        raise DatasetError(
            f"{first.path}: no rate", expected="a time_s column", found="none", remedy="give --rate-hz"
        )
    targets = request.columns.target_channels()
    # four digits: a clock's last digits are no news
    rounded = None if rate is None else float(f"{rate:.4g}") if request.rate_hz is None else rate
    return Facts(
        name=request.name or request.output.resolve().name,
        channels=request.channels or _channels(signal, first),
        rate_hz=rounded,
        group=request.group_is,
        task="regression" if targets else request.task,
        targets=targets,
        licence=request.licence,
    )


def _channels(signal: Signal, first: Piece) -> tuple[Channel, ...]:
    if signal.channels:
        extent = _PIXELS if signal.is_image else None
        return tuple(Channel(name, first.units.get(name, ""), extent) for name in signal.channels)
    count = signal.samples.shape[1]
    if count == 1:
        return (Channel("audio", "", (-1.0, 1.0)),)
    return tuple(Channel(f"ch{n + 1}") for n in range(count))


def _notes(facts: Facts) -> Iterator[str]:
    for channel in facts.channels:
        if channel.name.lower() in _CLOCKS:
            yield (
                f"column {channel.name!r} became a channel: if it is a clock, "
                f"import again with --time-column {channel.name}:s (or ms, us, ns)"
            )
