"""What must have arrived: known from the recording and the model, and from what the disk held at a crash.

Nothing here asks the pipeline. A recording is played again and again; `Story` computes by itself what each
prediction must be. The outbox is read as SQLite's own program would read it, from a copy.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge_sdk import Model, recordings
from edge_sdk.decision import Decision
from edge_sdk.prediction import Prediction
from edge_sdk.recordings import Signal
from tests.models import Linear, contract, write_model

SAMPLES, WINDOW, HOP = 2000, 8, 4
#: Of the sensor: in real time a prediction every hundredth of a second.
RATE_HZ = 400.0
DEVICE = "press-7"
#: Of a row in the outbox.
_FIELDS = (
    "version", "device", "run_id", "sequence", "time_s", "wall_s", "clock_synced", "model",
    "label", "score", "value", "event", "fault", "latency_us", "shape", "outputs",
)  # fmt: skip
#: No run of these tests makes so many predictions.
_MOST = 100_000


@dataclass(frozen=True)
class Arrival:
    """A prediction that got somewhere, as it came there, and when, on the boot clock."""

    fields: Mapping[str, Any]
    at_s: float = 0.0

    @property
    def run_id(self) -> str:
        return str(self.fields["run_id"])

    @property
    def sequence(self) -> int:
        return int(self.fields["sequence"])

    @property
    def name(self) -> tuple[str, str, int]:
        return str(self.fields["device"]), self.run_id, self.sequence


class Story:
    """A recording, written to a folder with the model, and what the model says about each of its windows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = numbers = np.random.default_rng(7).normal(size=(SAMPLES, 3)).astype(np.float32)
        spec = Linear(window=WINDOW)
        facts = replace(contract(spec).input, rate_hz=RATE_HZ, hop=HOP)
        write_model(folder / "m.tflite", spec, input=facts)
        recordings.write(folder / "walk.npz", Signal(numbers, RATE_HZ, facts.names))
        windows = np.lib.stride_tricks.sliding_window_view(numbers, WINDOW, axis=0)[::HOP].transpose(0, 2, 1)
        with Model.load(folder / "m.tflite") as model:
            self._once = [model.run(window) for window in windows]
            self._decision = Decision(model.decision, model.labels)
        self._said: list[Prediction] = []
        self._lock = threading.Lock()
        #: Predictions of one time through the recording, all of them different.
        self.windows = len(self._once)
        assert len({said.outputs.tobytes() for said in self._once}) == self.windows

    def lines(self, first: int, count: int) -> str:
        """Samples as text: what completes so many windows, after those that were completed before."""
        start = self.ends_at(first - 1) if first else 0
        rows = self._numbers[start : self.ends_at(first + count - 1)]
        return "".join(",".join(repr(float(value)) for value in row) + "\n" for row in rows)

    def said(self, sequence: int) -> Prediction:
        """What the model says to the window of this number, counted over all repetitions.

        An event that is on at the end of the recording is on at its next beginning.
        """
        with self._lock:
            while len(self._said) <= sequence:
                window = len(self._said) % self.windows
                if not window:
                    self._decision.reset()
                self._said.append(self._decision.apply(replace(self._once[window])))
            return self._said[sequence]

    def label(self, sequence: int) -> str | None:
        """The label that it has."""
        return self.said(sequence).label

    def made_by(self, samples: float) -> int:
        """Predictions of the first so many samples; windows do not span two repetitions."""
        laps, rest = divmod(int(samples), SAMPLES)
        return laps * self.windows + max(0, (rest - WINDOW) // HOP + 1)

    def ends_at(self, sequence: int) -> int:
        """The samples that were played up to the last one of a window."""
        lap, window = divmod(sequence, self.windows)
        return lap * SAMPLES + window * HOP + WINDOW

    def check(self, arrivals: Iterable[Arrival], run_ids: Iterable[str] | None = None) -> None:
        """None is invented: every one is word for word what the model says to the window of its number."""
        known = None if run_ids is None else set(run_ids)
        for arrival in arrivals:
            fields = arrival.fields
            assert 0 <= arrival.sequence < _MOST, fields
            said = self.said(arrival.sequence)
            outputs = np.array(fields["outputs"], np.float32)
            assert fields["device"] == DEVICE, fields
            assert outputs.tobytes() == said.outputs.tobytes(), fields
            assert (fields["label"], fields["event"]) == (said.label, said.event), fields
            assert np.float32(fields["score"]) == np.float32(said.score), fields
            assert known is None or arrival.run_id in known, fields


def firsts(arrivals: Iterable[Arrival]) -> dict[str, list[int]]:
    """By run, the sequence numbers in the order in which each came for the first time."""
    seen: set[tuple[str, str, int]] = set()
    found: dict[str, list[int]] = defaultdict(list)
    for arrival in arrivals:
        if arrival.name not in seen:
            seen.add(arrival.name)
            found[arrival.run_id].append(arrival.sequence)
    return dict(found)


def check_order(arrivals: Iterable[Arrival]) -> None:
    """Whatever was repeated, each run's predictions came for the first time in their order."""
    for run_id, sequences in firsts(arrivals).items():
        assert sequences == sorted(sequences), run_id


def check_whole(arrivals: Sequence[Arrival], wanted: Callable[[int], bool] = lambda _: True) -> None:
    """No hole: of each run, all that the sink wanted from the first to the last that came."""
    for run_id, sequences in firsts(arrivals).items():
        expected = [number for number in range(max(sequences) + 1) if wanted(number)]
        assert sequences == expected, (run_id, sorted(set(expected) ^ set(sequences))[:10])


def repeats(arrivals: Sequence[Arrival], at_once: int) -> int:
    """How many came again; each was among the last `at_once`, the only ones without an acknowledgement."""
    place: dict[tuple[str, str, int], int] = {}
    again = 0
    for arrival in arrivals:
        if arrival.name in place:
            again += 1
            assert len(place) - place[arrival.name] <= at_once, f"{arrival.name} was acknowledged long ago"
        else:
            place[arrival.name] = len(place)
    return again


def balanced(report: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger of a run's `--json`, added up once more."""
    ledger = report["ledger"]
    assert ledger["balanced"], ledger
    assert ledger["read"] == ledger["used"] + ledger["pending"] + sum(ledger["dropped"].values()), ledger
    assert ledger["predictions"] == ledger["delivered"] + ledger["queued"] + ledger["lost"], ledger
    for account in ledger["sinks"].values():
        there = account["delivered"] + account["queued"] + sum(account["dropped"].values())
        assert account["carried"] + account["offered"] == there, ledger
    return dict(ledger)


@dataclass(frozen=True)
class Kept:
    """What an outbox holds for each sink, oldest first."""

    owed: Mapping[str, Sequence[Arrival]]
    dead: int = 0


def kept(outbox: Path) -> Kept:
    """What is committed in an outbox whose program may run, be dead or have died in mid-write.

    It is a copy of the file and its log that is opened, so that nothing is repaired in the original. Of what
    a sink acknowledged after the last commit, some is still there.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for suffix in ("", "-wal"):
            part = outbox.with_name(outbox.name + suffix)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        if not copy.exists():
            return Kept({})
        with closing(sqlite3.connect(copy)) as database:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return Kept({})
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            sinks = database.execute("SELECT name, slot, cursor FROM sinks").fetchall()
            rows = database.execute("SELECT id, wanted, body FROM letters ORDER BY id").fetchall()
            (dead,) = database.execute("SELECT count(*) FROM dead").fetchone()
    owed = {
        name: [_read(body) for i, wanted, body in rows if i > cursor and wanted & (1 << slot)]
        for name, slot, cursor in sinks
    }
    return Kept(owed, dead)


def _read(body: bytes) -> Arrival:
    fields = dict(zip(_FIELDS, msgspec.msgpack.decode(body), strict=True))
    return Arrival({**fields, "outputs": np.frombuffer(fields["outputs"], "<f4")})
