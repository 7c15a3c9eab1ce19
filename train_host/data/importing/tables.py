"""Long tables: one CSV or Parquet file with many recordings, and columns that say whose row it is and when.

They are read a batch at a time, so that a table may be larger than the memory. A recording ends where its
label or side changes, where time jumps or goes backwards, or where it grows too large to be read at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.recordings import Signal
from train_host.data.importing import columns
from train_host.data.importing.batches import Batch
from train_host.data.importing.request import Advance, Piece, Request

SUFFIXES = (".csv", ".parquet")
#: A step in time of so many periods, and so many seconds, ends a recording.
_GAP_PERIODS, _GAP_S = 5.0, 0.5
#: Values of one recording, and of all that are being put together, in memory.
_MOST_IN_ONE, _MOST_IN_ALL = 1 << 24, 1 << 26
#: Fewer samples than this do not tell a rate: clocks of phones are uneven.
_TELLING = 32


def read(path: Path, request: Request, advance: Advance) -> Iterator[Piece]:
    """The recordings of one table, each as soon as it is complete."""
    table = columns.open_table(path, request)
    collector = _Collector(path, request, table.names)
    for batch in table.batches(advance):
        yield from collector.take(batch)
    yield from collector.rest()


class _Open:
    """A recording that may go on in the next batch."""

    def __init__(self, owner: tuple[str, str], label: str, side: str) -> None:
        self.owner, self.label, self.side = owner, label, side
        self.samples: list[NDArray[np.float32]] = []
        self.time_s: list[NDArray[np.float64]] = []
        self.targets: list[NDArray[np.float64]] = []
        self.values = 0

    def add(self, batch: Batch, rows: NDArray[np.int64]) -> int:
        """Take these rows; gives how many values they hold."""
        self.samples.append(batch.samples[rows])
        if batch.time_s is not None:
            self.time_s.append(batch.time_s[rows])
        self.targets.append(batch.targets[rows])
        self.values += self.samples[-1].size
        return self.samples[-1].size

    @property
    def target(self) -> tuple[float, ...] | None:
        """The mean of what is to be learned over all rows; None where a row does not say."""
        means = np.concatenate(self.targets).mean(axis=0)
        return tuple(means.tolist()) if len(means) and np.isfinite(means).all() else None


class _Collector:
    """Puts the rows of each owner together: a group, or a recording of a group where a column names it."""

    def __init__(self, path: Path, request: Request, names: tuple[str, ...]) -> None:
        self._path, self._request, self._names = path, request, names
        self._open: dict[tuple[str, str], _Open] = {}  # the one that grew last is the last
        self._period_s: float | None = None
        self._counts: dict[tuple[str, str], int] = {}
        self._values = 0

    def take(self, batch: Batch) -> Iterator[Piece]:
        """Recordings that ended within this batch."""
        owners = batch.owner
        if self._period_s is None and batch.time_s is not None:
            rate_hz = self._request.rate_hz
            self._period_s = 1 / rate_hz if rate_hz else _period(batch)
        order = np.argsort(owners, kind="stable")
        edges = np.flatnonzero(np.diff(owners[order])) + 1
        for rows in np.split(order, edges):
            yield from self._of_owner(batch, rows)
        while self._values > _MOST_IN_ALL:  # those that have not grown for longest are most likely complete
            yield self._closed(next(iter(self._open)))

    def rest(self) -> Iterator[Piece]:
        """Recordings that ended with the table."""
        for owner in list(self._open):
            yield self._closed(owner)

    def _of_owner(self, batch: Batch, rows: NDArray[np.int64]) -> Iterator[Piece]:
        owner = batch.owners[int(batch.owner[rows[0]])]
        shown = batch.shown[rows]
        ends = shown[1:] != shown[:-1]
        if batch.time_s is not None:
            steps = np.diff(batch.time_s[rows])
            ends |= ~((steps >= 0) & (steps <= self._gap_s))
        for part in np.split(rows, np.flatnonzero(ends) + 1):
            label, side = batch.showing[int(batch.shown[part[0]])]
            going = self._open.get(owner)
            if going is not None and not self._goes_on(going, batch, part, (label, side)):
                yield self._closed(owner)
                going = None
            recording = self._open.pop(owner, None) or _Open(owner, label, side)
            self._open[owner] = recording
            self._values += recording.add(batch, part)
            if recording.values >= _MOST_IN_ONE:
                yield self._closed(owner)

    def _goes_on(self, going: _Open, batch: Batch, rows: NDArray[np.int64], shows: tuple[str, str]) -> bool:
        if (going.label, going.side) != shows:
            return False
        if batch.time_s is None:
            return True
        step = float(batch.time_s[rows[0]] - going.time_s[-1][-1])
        return 0 <= step <= self._gap_s

    def _closed(self, owner: tuple[str, str]) -> Piece:
        recording = self._open.pop(owner)
        self._values -= recording.values
        group, name = owner
        count = self._counts[owner] = self._counts.get(owner, 0) + 1
        samples = np.concatenate(recording.samples)
        time_s = np.concatenate(recording.time_s) if recording.time_s else None
        return Piece(
            path=self._path,
            signal=Signal(samples, self._rate(time_s), self._names, time_s),
            label=recording.label or None,
            knows_label=bool(self._request.columns.label or self._request.columns.targets),
            group=group or None,
            id=(name if count == 1 else f"{name}-{count}") if name else self._numbered(count),
            split=recording.side or None,
            target=recording.target,
        )

    def _numbered(self, count: int) -> str | None:
        """Without a column for it a recording has a number; the only one of a file has the file's name."""
        return str(count) if self._request.columns.group is not None or count > 1 else None

    @property
    def _gap_s(self) -> float:
        """What ends a recording."""
        return max(_GAP_PERIODS * (self._period_s or 0.0), _GAP_S)

    def _rate(self, time_s: NDArray[np.float64] | None) -> float | None:
        """Of one recording; of a short one that of the table: it cannot tell."""
        if time_s is None:
            return None
        period_s = self._period_s if len(time_s) < _TELLING else float(np.median(np.diff(time_s)))
        return 1.0 / period_s if period_s else None


def _period(batch: Batch) -> float:
    """The median step between rows of one owner, s."""
    assert batch.time_s is not None
    order = np.argsort(batch.owner, kind="stable")
    steps = np.diff(batch.time_s[order])
    steps = steps[(np.diff(batch.owner[order]) == 0) & (steps > 0)]
    return float(np.median(steps)) if len(steps) else 0.0
