"""The takes that are open, one a device, and what becomes of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk import channels
from edge_sdk.blocks import Block
from edge_sdk.contract import Channel
from edge_sdk.dataset.collection import Collection
from edge_sdk.dataset.facts import FACTS, Facts, read_facts
from edge_sdk.dataset.naming import as_name
from edge_sdk.errors import DatasetError, EdgeError
from edge_sdk.recorder.report import Recorded, Report, Settings
from edge_sdk.recorder.take import About, Take, left_behind
from edge_sdk.recordings import Signal

#: A source of this rate or more is kept in numpy's format: as text it would be six times as large.
_FAST_HZ = 1000.0


@dataclass(slots=True)
class _Open:
    take: Take
    device: str


class Takes:
    """Writes takes into a dataset folder, and keeps the books of their samples.

    Args:
        settings: where to and how.
        report: what came of it.

    Attributes:
        known: facts of a folder that was there before.
        channels: of the folder, once the first block has come.
        name_devices: whether files of one group are told apart by their device, too.
    """

    def __init__(self, settings: Settings, report: Report) -> None:
        self.known = read_facts(settings.folder / FACTS) if (settings.folder / FACTS).exists() else None
        self.channels: tuple[Channel, ...] = ()
        self.name_devices = False
        self._settings, self._report = settings, report
        self._collection: Collection | None = None
        self._open: dict[str, _Open] = {}

    def begin(self, block: Block) -> None:
        """The first block says what is recorded; an earlier recorder's takes are finished.

        Raises:
            DatasetError: the folder holds other recordings.
            DeviceError: it cannot be written.
        """
        settings, known = self._settings, self.known
        count = block.samples.shape[1]
        found = settings.channels or channels.named(block.channels, count)
        if known is not None and not settings.channels:
            named = {channel.name for channel in known.channels}
            if not block.channels or named <= set(block.channels):
                found = known.channels
        if not block.channels and len(found) != count:
            raise DatasetError(
                "channels",
                expected=", ".join(channel.name for channel in found),
                found=f"{count} without names",
                remedy="name them with --channels",
            )
        facts = Facts(
            name=settings.folder.resolve().name,
            channels=found,
            rate_hz=float(f"{block.rate_hz:.6g}"),
            group=settings.group_is,
            licence=settings.licence,
        )
        self._collection = Collection(settings.folder, facts)
        self.channels = self._collection.facts.channels
        self._recover()

    def append(self, device: str, samples: NDArray[np.float32], label: str, block: Block) -> None:
        """Add samples of one label, and begin another take where the label or the length asks for it.

        Raises:
            DeviceError: the disk takes no more.
        """
        books = self._report.samples
        open_ = self._open.get(device)
        if open_ is not None:
            longest = self._settings.longest_s * block.rate_hz
            if (open_.take.about.label or "") != label or open_.take.samples >= longest:
                self.finish(device)
                open_ = None
        try:
            if open_ is None:
                open_ = _Open(Take(self._settings.folder, self._about(device, label, block)), device)
                self._open[device] = open_
            open_.take.append(samples)
        except EdgeError:
            books.dropped["fault"] += len(samples)
            raise
        books.pending += len(samples)

    def finish(self, device: str) -> None:
        """Make a recording of what is open of a device.

        Raises:
            DeviceError: the disk takes no more; the take stays where it is, for the next recorder.
        """
        open_ = self._open.get(device)
        if open_ is None:
            return
        books, take, about = self._report.samples, open_.take, open_.take.about
        if self._is_short(take.samples, about):
            self._drop(device, "short")
            return
        file = self._write(about, take.read())
        del self._open[device]
        take.discard()
        books.pending -= take.samples
        books.used += take.samples
        seconds = take.samples / about.rate_hz
        self._report.recordings.append(Recorded(file, about.label, device, take.samples, seconds))

    def undo(self) -> None:
        """Throw away what is open, or the last recording where nothing is."""
        books, recordings = self._report.samples, self._report.recordings
        if self._open:
            for device in list(self._open):
                self._drop(device, "undone")
        elif recordings and self._collection is not None:
            last = recordings.pop()
            self._collection.remove(last.file)
            books.used -= last.samples
            books.dropped["undone"] += last.samples

    def close(self) -> None:
        """Finish all of it.

        Raises:
            DeviceError: the disk takes no more; what is left is for the next recorder.
        """
        try:
            for device in list(self._open):
                self.finish(device)
        finally:
            for open_ in self._open.values():
                open_.take.close()
            if self._collection is not None:
                self._collection.close()

    def seconds(self, device: str) -> float:
        """How long the take of a device is now."""
        open_ = self._open.get(device)
        return open_.take.samples / open_.take.about.rate_hz if open_ is not None else 0.0

    def _drop(self, device: str, reason: str) -> None:
        take = self._open.pop(device).take
        self._report.samples.pending -= take.samples
        self._report.samples.dropped[reason] += take.samples
        take.discard()

    def _is_short(self, samples: int, about: About) -> bool:
        return samples < max(1, self._settings.shortest_s * about.rate_hz)

    def _about(self, device: str, label: str, block: Block) -> About:
        group = self._settings.group or device
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(block.wall_s))
        name = f"{stamp}-{device}" if self.name_devices else stamp
        return About(
            label=label or None,
            group=as_name(group),
            name=as_name(name).replace("_", "-"),  # a group is all before the last underscore
            channels=len(self.channels),
            rate_hz=block.rate_hz,
            suffix=".npz" if block.rate_hz >= _FAST_HZ else ".csv",
        )

    def _write(self, about: About, samples: NDArray[np.float32]) -> str:
        assert self._collection is not None
        names = tuple(channel.name for channel in self.channels)
        signal = Signal(samples, about.rate_hz, names)
        return self._collection.add(signal, about.label, about.group, about.name, suffix=about.suffix)

    def _recover(self) -> None:
        for about, samples, path in left_behind(self._settings.folder):
            if about.channels == len(self.channels) and not self._is_short(len(samples), about):
                self._report.recovered.append(self._write(about, samples))
            path.unlink(missing_ok=True)
