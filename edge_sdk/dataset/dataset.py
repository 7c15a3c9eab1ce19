"""A dataset folder that was read: its recordings, its groups, its windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from edge_sdk import windows
from edge_sdk.dataset import listing, reading, truth
from edge_sdk.dataset.digest import digest_of
from edge_sdk.dataset.facts import FACTS, Facts, read_facts
from edge_sdk.dataset.groups import Groups
from edge_sdk.dataset.manifest import MANIFEST, Recording
from edge_sdk.dataset.windowed import Windowed
from edge_sdk.errors import DatasetError, first_of
from edge_sdk.recordings import Signal
from edge_sdk.splits import Split


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
        found = listing.find(folder, facts.target_names)
        facts = replace(facts, labels=truth.labels(facts, found))
        listing.check(folder, facts, found)
        return cls(**vars(facts), folder=folder, recordings=tuple(found))

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
        return digest_of(self.folder, self, self.recordings)

    def read(self, recording: Recording) -> Signal:
        """The samples of one recording, in the dataset's channel order and at its rate.

        Raises:
            DatasetError: the file is malformed, lacks a channel, or was recorded at another rate.
        """
        path = self.folder / recording.file
        return reading.read(path, self, recording, is_image=self.layout == "HWC")

    def split(self, seed: int, *, validation: float = 0.2, test: float = 0.2) -> Split:
        """Divide the groups; a manifest's split column wins over seed and shares.

        Raises:
            DatasetError: too few groups, or a group that the manifest puts on two sides.
        """
        return self._groups().split(seed, validation=validation, test=test)

    def folds(self, k: int, seed: int, *, validation: float = 0.2) -> list[Split]:
        """Divide the groups k times, so that each is on the test side once; a manifest's folds win.

        Raises:
            DatasetError: fewer groups than folds, another number of folds in the manifest, or a group that it
                puts into two of them.
        """
        return self._groups().folds(k, seed, validation=validation)

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

    def _usable(self) -> list[Recording]:
        return [recording for recording in self.recordings if truth.is_known(self, recording)]

    def _groups(self) -> Groups:
        return Groups(self, self._usable(), self.folder / MANIFEST)
