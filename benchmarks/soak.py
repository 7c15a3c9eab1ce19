"""Two sensors at 200 Hz with every fault there is, a web server in trouble: what it takes, and what is lost.

`edgeml run` with its outbox, a database and `/health`, which is asked all the time. By hand for an hour:

    EDGEML_SOAK_S=3600 python -m benchmarks soak
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row
from tests.integration.faults_sensors.process import Process
from tests.models import Linear, contract, write_model

RATE_HZ, WINDOW, HOP = 200.0, 20, 10
#: By chance: a block is a tenth of a second. What ends the stream comes by the clock, or nothing else would.
FAULTS = {
    "silence": "0.004/2s",
    "garbage": 0.02,
    "stuck": "0.004/3s",
    "range": 0.02,
    "nan": 0.02,
    "rate": "0.002/8s/0.5",
    "jitter": "0.01/0.5s/4",
}
LOOSE = {"unplug": "7s", "hang": "3s/0.5s", "nan": 0.02}
#: What resident memory may grow by once it has settled, kB an hour.
FLAT_KB_H = 500.0
#: Until memory has settled: engines for each size of batch, what SQLite caches of two databases, s.
WARM_S = 600.0
_TOML = """
device = "press-7"
[model]
file = "m.tflite"
[sensor]
silence_s = 1
stuck_s = 1
jitter_s = 0.3
[outbox]
file = "waiting.outbox"
[[sink]]
name = "hook"
url = "http://127.0.0.1:{port}/hook"
timeout_s = 1
[[sink]]
url = "sqlite:all.db"
"""


@dataclass
class Soaked:
    """What a run took of the machine, look by look, and what became of its predictions.

    Attributes:
        at_s: since its beginning.
        rss_kb: resident memory.
        threads: of them.
        files: open descriptors.
        cpu_s: processor time so far.
        ledger: at its end.
        stored: rows of the database.
        received: predictions that the web server has, each counted once.
        repeated: those that it got again.
        disorder: those that came for the first time, but not in their order.
    """

    at_s: list[float] = field(default_factory=list)
    rss_kb: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    stored: int = 0
    received: int = 0
    repeated: int = 0
    disorder: int = 0

    def look(self, process: Process, begun_s: float) -> None:
        """Note how it is now."""
        self.at_s.append(time.monotonic() - begun_s)
        self.rss_kb.append(process.status("VmRSS"))
        self.threads.append(process.status("Threads"))
        self.files.append(process.files())
        self.cpu_s.append(process.cpu_s())

    def steady(self, warm_s: float) -> slice:
        """The looks after so long."""
        return slice(int(np.searchsorted(self.at_s, warm_s)), None)

    def slope_kb_h(self, warm_s: float) -> float:
        """How fast resident memory grows, kB an hour: the line of least squares."""
        part = self.steady(warm_s)
        return float(np.polyfit(self.at_s[part], self.rss_kb[part], 1)[0] * 3600)

    def busy(self, warm_s: float) -> float:
        """The share of one processor that it took."""
        part = self.steady(warm_s)
        at_s, cpu_s = self.at_s[part], self.cpu_s[part]
        return (cpu_s[-1] - cpu_s[0]) / (at_s[-1] - at_s[0])


class _Server(ThreadingHTTPServer):
    """Takes predictions, one a request; now and then it fails, hangs or hangs up."""

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.received = self.repeated = self.disorder = 0
        self.mood = ""
        self.over = threading.Event()
        self._next: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        works = (lambda: self.serve_forever(0.05), self._have_moods)
        self._workers = [threading.Thread(target=work) for work in works]

    def start(self) -> None:
        """Serve."""
        for thread in self._workers:
            thread.start()

    def settle(self) -> None:
        """Fail no more."""
        self.over.set()
        self._workers[1].join()

    def stop(self) -> None:
        """Serve no more."""
        self.settle()
        self.shutdown()
        self.server_close()
        for thread in self._workers:
            thread.join()

    def take(self, said: dict[str, Any]) -> None:
        """One prediction."""
        key = said["device"], said["run_id"]
        with self._lock:
            expected = self._next.get(key, 0)
            self.repeated += said["sequence"] < expected
            self.disorder += said["sequence"] > expected
            if said["sequence"] >= expected:
                self.received += 1
                self._next[key] = said["sequence"] + 1

    def _have_moods(self) -> None:
        while not self.over.wait(self._random.uniform(1.0, 8.0)):
            self.mood = self._random.choice(("fails", "hangs", "cuts"))
            self.over.wait(self._random.uniform(0.5, 4.0))
            self.mood = ""


class _Posted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mood = self.server.mood
        if mood == "hangs":
            self.server.over.wait(2.0)  # longer than the sink's patience
        if mood in ("hangs", "cuts"):
            self.close_connection = True
            return
        if not mood:
            self.server.take(said)
        self.send_response(503 if mood else 204)
        if mood:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _serving(seed: int) -> Iterator[_Server]:
    server = _Server(seed)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def soak(folder: Path, seconds: float, seed: int = 0) -> Soaked:
    """Let it run for so long.

    Args:
        folder: for its files.
        seconds: how long.
        seed: of all chance.
    """
    spec = Linear(window=WINDOW)
    channels = tuple(replace(channel, range=(-2.0, 2.0)) for channel in contract(spec).input.channels)
    facts = replace(contract(spec).input, rate_hz=RATE_HZ, hop=HOP, channels=channels)
    write_model(folder / "m.tflite", spec, input=facts)
    found = Soaked()
    with _serving(seed) as server:
        text = _TOML.format(port=server.server_address[1])
        text += _source("noisy", {**FAULTS, "seed": seed}) + _source("loose", {**LOOSE, "seed": seed + 1})
        with Process(folder, text, seconds + 120) as process:
            begun_s = time.monotonic()
            while (at_s := time.monotonic() - begun_s) < seconds:
                process.health()
                found.look(process, begun_s)
                assert process.running, process.said[-3000:]
                time.sleep(max(0.0, min(1.0, seconds - at_s)))
            server.settle()
            found.ledger = process.end()
        found.received, found.repeated = server.received, server.repeated
        found.disorder = server.disorder
    with closing(sqlite3.connect(folder / "all.db")) as database:
        (found.stored,) = database.execute("SELECT count(*) FROM predictions").fetchone()
    return found


def _source(name: str, options: dict[str, Any]) -> str:
    keys = {"url": "synthetic:sine,noise,walk", "name": name, "device": name, **options}
    return "\n[[source]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def rows() -> list[Row]:
    """Memory and what else it takes, over time; and whether its books balance."""
    seconds = float(os.environ.get("EDGEML_SOAK_S", "300"))
    warm_s = min(WARM_S, seconds / 2)
    settled = seconds > 2 * WARM_S
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), seconds)
    part = found.steady(warm_s)
    rss_mb = np.array(found.rss_kb[part]) / 1024
    slope = found.slope_kb_h(warm_s)
    what = f"{seconds / 60:.0f} min at {RATE_HZ:g} Hz with faults of every kind"
    thirds = " → ".join(f"{each.mean():.1f}" for each in np.array_split(rss_mb, 3))
    ledger = found.ledger
    owed = ledger["sinks"]["hook"]["queued"]
    whole = found.received + owed >= ledger["predictions"] == found.stored and not found.disorder
    return [
        Row(
            f"{what}: resident memory, by thirds",
            f"{thirds} MB",
            "",
            f"{slope:+.0f} kB/h" if settled else "",
            f"≤ {FLAT_KB_H:.0f} kB/h" if settled else "",
            slope <= FLAT_KB_H if settled else None,
        ),
        Row(f"{what}: threads, files", *_spans(found, part), "", "", None),
        Row(f"{what}: of one processor", f"{found.busy(warm_s):.1%}", "", "", "", None),
        Row(
            f"{what}: predictions that are where they should be",
            f"{found.received + owed} and {found.stored}",
            f"{ledger['predictions']} made",
            f"{sum(ledger['faults'].values())} faults",
            "all",
            bool(whole and ledger["balanced"]),
        ),
    ]


def _spans(found: Soaked, part: slice) -> tuple[str, str]:
    spans = (found.threads[part], found.files[part])
    return tuple(f"{min(each)} to {max(each)}" for each in spans)  # type: ignore[return-value]
