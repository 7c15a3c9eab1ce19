"""A dataset folder: the only place that knows its layout, reads it, writes it, and splits it.

    dataset.toml                          channels with units, rate_hz, task, labels, group, licence
    recordings/<label>/<group>_<id>.csv   or .npz .parquet .wav .png
    manifest.csv                          optional: file,label,group,start_s,end_s,split,fold,target

Where there is a manifest, it alone says what the recordings are; otherwise folders and names do. A recording
that lies in recordings/ itself has no label yet: it is kept, and never trained on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from dataclasses import replace as replace_fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk import recordings as files
from edge_sdk import splits, truth, windows
from edge_sdk.datasetfile import (
    FACTS,
    MANIFEST,
    RECORDINGS,
    Facts,
    Recording,
    manifest_text,
    read_facts,
    read_manifest,
)
from edge_sdk.errors import DatasetError, first_of
from edge_sdk.recordings import Signal
from edge_sdk.splits import Split

__all__ = ["Dataset", "Facts", "NewRecording", "Recording", "Signal", "Split", "Windowed", "write"]

#: How far a recording's own rate may be from the dataset's, as a fraction.
RATE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Windowed:
    """Windows ready to train or to evaluate on.

    Attributes:
        x: float32 [n, window, channels], in the channels' units; images float32 [n, height, width, channels].
        y: what is true of each, as `truth` says: int64 [n], indices into the dataset's labels; float32
            [n, labels] where several may hold; float32 [n, targets] of a regression.
        group: whom each window comes from, n names.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    group: list[str]

    def __len__(self) -> int:
        return len(self.y)

    def of(self, groups: Iterable[str]) -> Windowed:
        """Those that come from these groups."""
        wanted = set(groups)
        return self.at(np.flatnonzero([group in wanted for group in self.group]))

    def at(self, chosen: NDArray[np.int64]) -> Windowed:
        """Those at these places."""
        return Windowed(self.x[chosen], self.y[chosen], [self.group[i] for i in chosen])


@dataclass(frozen=True, kw_only=True)
class Dataset(Facts):
    """A dataset folder that was read; the recordings themselves are read when asked for."""

    folder: Path
    recordings: tuple[Recording, ...]

    @classmethod
    def load(cls, folder: str | Path) -> Dataset:
        """Read dataset.toml and find the recordings.

        Raises:
            DatasetError: no such folder, a malformed dataset.toml or manifest.csv, a missing file, an unknown
                label, a file without a group in its name, or no recordings at all.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder", expected="a dataset folder")
        facts = read_facts(folder / FACTS)
        manifest = folder / MANIFEST
        found = read_manifest(manifest, facts.target_names) if manifest.exists() else _walk(folder)
        if not found:
            raise DatasetError(
                f"{folder}: no recordings",
                expected=f"{RECORDINGS}/<label>/<group>_<id>{'|'.join(files.SUFFIXES)}",
                remedy="add some with: edgeml data import",
            )
        labels = truth.labels(facts, found)
        for recording in found:
            if not (folder / recording.file).is_file():
                raise DatasetError(
                    f"{manifest}: no such recording", found=recording.file, remedy="remove its line"
                )
            files.check_size(folder / recording.file)
            for label in set(truth.labels_of(facts, recording)) - set(labels):
                raise DatasetError(
                    f"{folder / recording.file}: unknown label",
                    expected=f"one of {', '.join(labels)}",
                    found=repr(label),
                    remedy=f"add it to labels in {FACTS}, or rename it",
                )
        given = {key: getattr(facts, key) for key in Facts.__dataclass_fields__}
        return cls(**{**given, "labels": labels}, folder=folder, recordings=tuple(found))

    @property
    def layout(self) -> Literal["TC", "HWC"]:
        """What a window is: ``TC`` (time, channels), or ``HWC`` where the recordings are images."""
        return "HWC" if self.recordings[0].file.lower().endswith(".png") else "TC"

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that have recordings of which something is known, sorted."""
        return tuple(sorted({recording.group for recording in self._usable()}))

    @cached_property
    def digest(self) -> str:
        """``sha256:…`` over facts, recordings and the bytes of their files, wherever the folder lies."""
        total = hashlib.sha256(json.dumps(_facts_of(self), sort_keys=True).encode())
        for recording in sorted(self.recordings, key=lambda r: (r.file, r.start_s or 0.0)):
            facts = asdict(recording)
            if recording.fold is None:  # as it was before there were folds
                del facts["fold"]
            total.update(json.dumps(facts, sort_keys=True).encode())
        for name in sorted({recording.file for recording in self.recordings}):
            total.update(hashlib.sha256((self.folder / name).read_bytes()).digest())
        return f"sha256:{total.hexdigest()}"

    def read(self, recording: Recording) -> Signal:
        """The samples of one recording, in the dataset's channel order and at its rate.

        Raises:
            DatasetError: the file is malformed, lacks a channel, or was recorded at another rate.
        """
        path = self.folder / recording.file
        names = tuple(channel.name for channel in self.channels)
        signal = files.read(path, names)
        samples = signal.samples
        if signal.is_image != (self.layout == "HWC"):
            raise DatasetError(f"{path}: images and signals do not mix", remedy="make a dataset of each")
        if (
            signal.channels
            and signal.channels != names
            and not (signal.is_image and samples.shape[2] == len(names))
        ):
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
        if self.rate_hz and signal.rate_hz and abs(signal.rate_hz / self.rate_hz - 1) > RATE_TOLERANCE:
            raise DatasetError(
                f"{path}: recorded at another rate",
                expected=f"{self.rate_hz:g} Hz",
                found=f"{signal.rate_hz:.4g} Hz",
                remedy=f"resample it, or correct rate_hz in {FACTS}",
            )
        return _piece(Signal(samples, self.rate_hz or signal.rate_hz, names, signal.time_s), recording, path)

    def split(self, seed: int, *, validation: float = 0.2, test: float = 0.2) -> Split:
        """Divide the groups; a manifest's split column wins over seed and shares.

        Raises:
            DatasetError: too few groups, or a group that the manifest puts on two sides.
        """
        if not any(recording.split for recording in self._usable()):
            known, odd = self._to_learn_from()
            made = splits.split(known, seed, validation=validation, test=test, by=self.group)
            return replace_fields(made, test=tuple(sorted([*made.test, *odd])))
        sides: dict[str, set[str]] = {side: set() for side in splits.SIDES}
        for recording in self._usable():
            sides[recording.split or "train"].add(recording.group)
        train, inner, held_out = (tuple(sorted(sides[side])) for side in splits.SIDES)
        given = Split(train, inner, held_out, self.group)
        if not given.train or (test and not given.test):
            raise DatasetError(
                f"{self.folder / MANIFEST}: split", expected="train and test", found=_sizes(given)
            )
        if given.validation or not validation:
            return given
        known = {group: labels for group, labels in self._labels_of().items() if group in given.train}
        rest = splits.split(known, seed, validation=validation, test=0.0, by=self.group)
        return Split(rest.train, rest.validation, given.test, self.group)

    def folds(self, k: int, seed: int, *, validation: float = 0.2) -> list[Split]:
        """Divide the groups k times, so that each is on the test side once; a manifest's folds win.

        Raises:
            DatasetError: fewer groups than folds, another number of folds in the manifest, or a group that it
                puts into two of them.
        """
        if any(recording.fold for recording in self._usable()):
            parts = self._given_folds(k)
            return splits.from_parts(self._labels_of(), parts, seed, validation=validation, by=self.group)
        known, odd = self._to_learn_from()
        made = splits.folds(known, k, seed, validation=validation, by=self.group)
        return [
            replace_fields(fold, test=tuple(sorted([*fold.test, *odd[number::k]])))
            for number, fold in enumerate(made)
        ]

    def windows(self, groups: Iterable[str], window: int, hop: int) -> Windowed:
        """Cut every labelled recording of these groups into windows; an image is one window.

        Args:
            groups: whose recordings.
            window: samples in a window; not used for images.
            hop: samples between the starts of two windows; not used for images.

        Raises:
            DatasetError: a malformed recording, one with NaN, images of unlike sizes, or no window at all.
        """
        parts = list(self.pieces(groups, window, hop))
        names = [name for part in parts for name in part.group]
        return Windowed(
            np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]), names
        )

    def pieces(self, groups: Iterable[str], window: int, hop: int) -> Iterator[Windowed]:
        """The same windows recording by recording: for sets that are larger than the memory.

        Args:
            groups: as of `windows`.
            window: as of `windows`.
            hop: as of `windows`.

        Yields:
            Those of one recording, `x` a read-only view of its samples; none of one shorter than a window.

        Raises:
            DatasetError: as of `windows`.
        """
        wanted, shape, count = set(groups), None, 0
        for recording in self._usable():
            if recording.group not in wanted:
                continue
            signal = self.read(recording)
            path = self.folder / recording.file
            if not np.isfinite(signal.samples).all():
                raise DatasetError(
                    f"{path}: NaN or inf in the samples", remedy=f"see: edgeml data check {self.folder}"
                )
            cut = signal.samples[None] if signal.is_image else windows.cut(signal.samples, window, hop)
            shape = shape or cut.shape[1:]
            if cut.shape[1:] != shape:
                raise DatasetError(f"{path}: size", expected=list(shape), found=list(cut.shape[1:]))
            count += len(cut)
            y = np.repeat(truth.row(self, recording)[None], len(cut), axis=0)
            yield Windowed(cut, y, [recording.group] * len(cut))
        if not count:
            raise DatasetError(
                f"{self.folder}: no windows of {window} samples from {self.group} {first_of(sorted(wanted))}",
                remedy="take a shorter window, or record longer",
            )

    def _given_folds(self, k: int) -> list[list[str]]:
        """The groups of each fold of the manifest."""
        where = self.folder / MANIFEST
        parts: dict[int | None, set[str]] = {}
        for recording in self._usable():
            parts.setdefault(recording.fold, set()).add(recording.group)
        if None in parts:
            raise DatasetError(
                f"{where}: fold", expected="one for every group", found=f"none for {first_of(parts[None])}"
            )
        if len(parts) != k:
            remedy = "take as many, or divide again with: edgeml data split"
            raise DatasetError(f"{where}: fold", expected=f"{k} folds", found=len(parts), remedy=remedy)
        known = [group for part in parts.values() for group in part]
        if len(set(known)) != len(known):
            twice = next(group for group in known if known.count(group) > 1)
            raise DatasetError(f"{where}: {self.group} {twice!r} is in two folds", remedy="give it one only")
        return [sorted(parts[fold]) for fold in sorted(parts, key=lambda fold: fold or 0)]

    def _usable(self) -> list[Recording]:
        return [recording for recording in self.recordings if truth.is_known(self, recording)]

    def _labels_of(self) -> dict[str, set[str]]:
        known: dict[str, set[str]] = {}
        usable = self._usable()
        for recording, kinds in zip(usable, truth.kinds(self, usable), strict=True):
            known.setdefault(recording.group, set()).update(kinds)
        return known

    def _to_learn_from(self) -> tuple[dict[str, set[str]], list[str]]:
        """The groups that may stand on any side, with what they have; and those that can only be tested on.

        An anomaly detector learns what is normal: a group without it has nothing to teach.
        """
        known = self._labels_of()
        odd = [
            group for group in sorted(known) if self.task == "anomaly" and self.labels[0] not in known[group]
        ]
        return {group: kinds for group, kinds in known.items() if group not in odd}, odd


@dataclass(frozen=True, slots=True)
class NewRecording:
    """One recording to write: its content is a signal, or a file to copy as it is.

    Attributes:
        id: what tells this recording from the others of its label and group.
        suffix: the kind of file that a signal is written as.
        target: the values to learn, for a regression.
    """

    content: Signal | Path
    label: str | None
    group: str
    id: str
    split: str | None = None
    suffix: str = ".csv"
    target: tuple[float, ...] | None = None

    @property
    def file(self) -> str:
        """Where it goes, relative to the folder."""
        suffix = self.content.suffix.lower() if isinstance(self.content, Path) else self.suffix
        return "/".join(
            [RECORDINGS, *([self.label] if self.label else []), f"{self.group}_{self.id}{suffix}"]
        )


def write(
    folder: str | Path, facts: Facts, recordings: Iterable[NewRecording], *, replace: bool = False
) -> Dataset:
    """Write a dataset folder; it is built beside its place and appears there whole, or not at all.

    Args:
        folder: where it goes.
        facts: what dataset.toml shall say.
        recordings: what goes into recordings/; consumed one by one.
        replace: an existing dataset folder may be replaced.

    Raises:
        DatasetError: the folder exists, or two recordings have the same label, group and id.
    """
    folder = Path(folder)
    if folder.exists() and not (replace and (folder / FACTS).is_file()):
        remedy = "give another folder" if replace else "give another folder, or --force to replace it"
        found = "a folder that is no dataset" if replace else "one"
        raise DatasetError(f"{folder}: exists", expected="no folder of that name", found=found, remedy=remedy)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        building.chmod(0o755)  # mkdtemp's 0700 is for secrets
        written = [_write_one(building, new) for new in recordings]
        # spelled out, so that their order stays
        facts = replace_fields(facts, labels=truth.labels(facts, written))
        (building / FACTS).write_text(facts.to_toml(), encoding="utf-8")
        if any(recording.split or recording.target for recording in written):
            text = manifest_text(written, facts.target_names)
            (building / MANIFEST).write_text(text, encoding="utf-8")
        Dataset.load(building)
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Dataset.load(folder)


def _write_one(building: Path, new: NewRecording) -> Recording:
    for part in filter(None, (new.label, new.group, new.id)):
        if "/" in part or "\\" in part or part.startswith(".") or not part.isprintable():
            raise DatasetError("label, group or id", expected="a name that a file may have", found=repr(part))
    path = building / new.file
    if path.exists():
        raise DatasetError(
            f"{new.file}: twice", expected="unlike ids within a label and group", remedy="rename one"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(new.content, Path):
        shutil.copyfile(new.content, path)
    else:
        files.write(path, new.content)
    return Recording(new.file, new.label, new.group, split=new.split, target=new.target)


def _walk(folder: Path) -> list[Recording]:
    found = []
    for path in sorted((folder / RECORDINGS).rglob("*")):
        parts = path.relative_to(folder / RECORDINGS).parts
        if path.is_dir() or any(part.startswith(".") for part in parts):
            continue
        if len(parts) > 2 or path.suffix.lower() not in files.SUFFIXES:
            expected = f"{RECORDINGS}/<label>/<group>_<id>{'|'.join(files.SUFFIXES)}"
            raise DatasetError(f"{path}: does not belong here", expected=expected)
        group, _, name = path.stem.rpartition("_")
        if not group or not name:
            raise DatasetError(
                f"{path}: no group in the name",
                expected=f"<group>_<id>{path.suffix}",
                remedy=f"rename it, or list it in {MANIFEST}",
            )
        label = parts[0] if len(parts) == 2 else None
        found.append(Recording(path.relative_to(folder).as_posix(), label, group))
    return found


def _piece(signal: Signal, recording: Recording, path: Path) -> Signal:
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


def _facts_of(facts: Facts) -> dict[str, object]:
    named = {key: _plain(getattr(facts, key)) for key in Facts.__dataclass_fields__}
    if not facts.targets:  # as it was before there were several
        del named["targets"]
    return named


def _plain(value: object) -> object:
    return (
        [asdict(channel) for channel in value]
        if isinstance(value, tuple) and value and not isinstance(value[0], str)
        else value
    )


def _sizes(given: Split) -> str:
    return f"{len(given.train)} train, {len(given.validation)} validation, {len(given.test)} test groups"
