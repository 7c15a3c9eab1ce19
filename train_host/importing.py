"""Recordings from anywhere into a dataset folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk import recordings as files
from edge_sdk.contract import Channel
from edge_sdk.dataset import RATE_TOLERANCE, Dataset, Facts, NewRecording, write
from edge_sdk.errors import ConfigError, DatasetError, first_of
from edge_sdk.recordings import Signal

#: What an 8-bit image holds.
_PIXELS = (0.0, 255.0)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to import and what is known about it.

    Attributes:
        sources: files, and folders that hold ``<label>/<group>_<id>.<suffix>`` somewhere below.
        output: the dataset folder to make.
        channels: which columns to take, in this order; empty means all of the first file.
        rate_hz: None means as the files say.
        label: of all recordings; None means the name of the folder a file lies in.
        group: of all recordings; None means the file's name up to its last underscore.
        pattern: a regular expression with groups named label, group, id, searched in the path without suffix.
        group_is: what a group is.
        pad_s: what is shorter is filled up to so many seconds, with zeros at both ends; None: nothing is.
        replace: an existing dataset folder may be replaced.
    """

    sources: Sequence[Path]
    output: Path
    channels: tuple[Channel, ...] = ()
    rate_hz: float | None = None
    label: str | None = None
    group: str | None = None
    pattern: str | None = None
    name: str | None = None
    group_is: str = "group"
    licence: str = ""
    replace: bool = False
    pad_s: float | None = None


def find(sources: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The recordings at and below some places, and the files there that are none; hidden ones are left out.

    Raises:
        DatasetError: a place does not exist, or there are no recordings at all.
    """
    found: list[Path] = []
    for source in sources:
        if not source.exists():
            raise DatasetError(f"{source}: no such file or folder")
        inside = (
            [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        )
        found += [
            path
            for path in inside
            if not any(part.startswith(".") for part in path.relative_to(source).parts)
        ]
    usable = [path for path in found if path.suffix.lower() in files.SUFFIXES]
    if not usable:
        where = first_of(sources)
        raise DatasetError(
            f"{where}: no recordings", expected=f"files that end in {' '.join(files.SUFFIXES)}"
        )
    return usable, [path for path in found if path.suffix.lower() not in files.SUFFIXES]


def run(
    request: Request, paths: Sequence[Path], on_file: Callable[[Path], None] = lambda path: None
) -> Dataset:
    """Import recordings; the dataset folder appears whole, or not at all.

    Args:
        request: what is known.
        paths: the recordings, from `find`.
        on_file: called after each file.

    Raises:
        DatasetError: a malformed file, unlike channels or rates, no label or group, or the folder exists.
        ConfigError: a pattern that is no regular expression.
    """
    pattern = _pattern(request.pattern)
    first = _select(paths[0], files.read(paths[0], [c.name for c in request.channels]), request.channels)
    facts = _facts(request, first, paths[0])

    def recordings() -> Iterator[NewRecording]:
        for path in paths:
            signal = files.read(path, [channel.name for channel in facts.channels])
            chosen = _select(path, signal, facts.channels)
            _check_rate(path, signal, facts.rate_hz)
            label, group, name = _names(path, request, pattern)
            # as it is where nothing changes: the file keeps its time column, coding and digest
            samples = _filled(chosen, round((request.pad_s or 0) * (facts.rate_hz or 0)))
            is_kept = chosen is signal and samples is signal.samples
            content = path if is_kept else Signal(samples, facts.rate_hz, chosen.channels)
            suffix = ".npz" if path.suffix.lower() in {".npz", ".wav"} else ".csv"
            yield NewRecording(content, label, group, name, suffix=suffix)
            on_file(path)

    return write(request.output, facts, recordings(), replace=request.replace)


def parse_channels(text: str) -> tuple[Channel, ...]:
    """``ax:g:-2:2,ay:g`` into channels; unit and range may be left out.

    Raises:
        ConfigError: anything else.

    >>> parse_channels("ax:g,t:°C:-40:85")[1]
    Channel(name='t', unit='°C', range=(-40.0, 85.0))
    """
    channels = []
    for part in text.split(","):
        name, *rest = (piece.strip() for piece in part.split(":"))
        try:
            extent = (float(rest[1]), float(rest[2])) if len(rest) == 3 else None
        except ValueError:
            extent = (0.0, 0.0)
        if not name or len(rest) not in (0, 1, 3) or (extent and not extent[0] < extent[1]):
            raise ConfigError("--channels", expected="NAME[:UNIT[:LOWEST:HIGHEST]],…", found=repr(part))
        channels.append(Channel(name, rest[0] if rest else "", extent))
    if len({channel.name for channel in channels}) != len(channels):
        raise ConfigError("--channels", expected="unlike names", found=text)
    return tuple(channels)


def _facts(request: Request, first: Signal, path: Path) -> Facts:
    if request.channels:
        channels = request.channels
    elif first.channels:
        extent = _PIXELS if first.is_image else None
        channels = tuple(Channel(name, "", extent) for name in first.channels)
    else:
        count = first.samples.shape[1]
        channels = (
            (Channel("audio", "", (-1.0, 1.0)),)
            if count == 1
            else tuple(Channel(f"ch{n + 1}") for n in range(count))
        )
    rate = None if first.is_image else request.rate_hz or first.rate_hz
    if rate is None and not first.is_image:
        raise DatasetError(
            f"{path}: no rate", expected="a time_s column", found="none", remedy="give --rate-hz"
        )
    name = request.name or request.output.resolve().name
    # four digits: a clock's last digits are no news
    rounded = None if rate is None else float(f"{rate:.4g}") if request.rate_hz is None else rate
    return Facts(
        name=name, channels=channels, rate_hz=rounded, group=request.group_is, licence=request.licence
    )


def _select(path: Path, signal: Signal, channels: tuple[Channel, ...]) -> Signal:
    """The wanted channels of a signal; the signal itself where it has exactly these."""
    wanted = tuple(channel.name for channel in channels)
    found = signal.channels
    if not wanted or wanted == found or (not found and len(wanted) == signal.samples.shape[1]):
        return signal
    if not set(wanted) <= set(found):
        raise DatasetError(
            f"{path}: channels",
            expected=", ".join(wanted),
            found=", ".join(found) or f"{signal.samples.shape[1]} without names",
            remedy="choose with --channels NAME:UNIT,…",
        )
    columns = [found.index(name) for name in wanted]
    return Signal(np.ascontiguousarray(signal.samples[..., columns]), signal.rate_hz, wanted, signal.time_s)


def _filled(signal: Signal, length: int) -> NDArray[np.float32]:
    """The samples between zeros, or the samples themselves where there are enough."""
    missing = length - len(signal.samples)
    if signal.is_image or missing <= 0:
        return signal.samples
    return np.pad(signal.samples, ((missing // 2, missing - missing // 2), (0, 0)))


def _check_rate(path: Path, signal: Signal, rate_hz: float | None) -> None:
    if rate_hz and signal.rate_hz and abs(signal.rate_hz / rate_hz - 1) > RATE_TOLERANCE:
        raise DatasetError(
            f"{path}: recorded at another rate",
            expected=f"{rate_hz:g} Hz",
            found=f"{signal.rate_hz:.4g} Hz",
            remedy="import each rate into a dataset of its own, or resample first",
        )


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(
            "--pattern", expected="a regular expression", found=f"{text!r} ({error})"
        ) from error
    if not pattern.groupindex or not set(pattern.groupindex) <= {"label", "group", "id"}:
        example = r"(?P<group>\w+)/(?P<label>\w+)/(?P<id>\d+)"
        raise ConfigError(
            "--pattern", expected=f"groups named label, group, id, such as {example}", found=text
        )
    return pattern


def _names(path: Path, request: Request, pattern: re.Pattern[str] | None) -> tuple[str, str, str]:
    """Label, group and id of one file."""
    matched: dict[str, str] = {}
    if pattern is not None:
        where = path.with_suffix("").as_posix()
        match = pattern.search(where)
        if match is None:
            raise DatasetError(f"{path}: --pattern does not match", expected=pattern.pattern, found=where)
        matched = {key: value for key, value in match.groupdict().items() if value}
    group, _, name = path.stem.rpartition("_")
    label = request.label or matched.get("label") or path.resolve().parent.name
    if chosen := request.group or matched.get("group"):
        return label, chosen, matched.get("id") or path.stem
    if not group or not name:
        raise DatasetError(
            f"{path}: no group in the name",
            expected=f"<group>_<id>{path.suffix}",
            remedy="rename it, or give --group or --pattern",
        )
    return label, group, matched.get("id") or name
