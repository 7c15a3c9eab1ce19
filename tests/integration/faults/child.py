"""`edgeml run` as a process of its own, to be killed, frozen, signalled and starved."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from edge_sdk.blocks import boottime_s
from tests.exposition import parse
from tests.integration.faults.oracle import DEVICE, HOP, RATE_HZ, Story
from tests.waiting import wait_for

#: After so long it ends by itself, should the tests have died, s.
LONGEST_S = 300
_RUN = [sys.executable, "-m", "edge_sdk", "run", "edgeml.toml", "--json"]
T = TypeVar("T")
ROOT = Path(__file__).parents[3]


def config(
    story: Story,
    *sinks: Mapping[str, Any],
    outbox: Mapping[str, Any] | None = None,
    speed: float = 1.0,
    repeat: int = 0,
    fed: bool = False,
) -> str:
    """An edgeml.toml: the recording, again and again, or what is fed, through the model to some sinks."""
    recording = {"url": f"replay:{story.folder}/walk.npz", "speed": speed, "repeat": repeat, "block": HOP}
    tables = [
        f'device = "{DEVICE}"\nstatus = "127.0.0.1:{free_port()}"',
        _table("[model]", {"file": str(story.folder / "m.tflite")}),
        _table("[[source]]", {"url": "stdin:"} if fed else recording),
        _table("[outbox]", {"file": "waiting.outbox", **(outbox or {})}),
        *(_table("[[sink]]", sink) for sink in sinks),
    ]
    return "\n".join(tables)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def together(scenario: Callable[[Any], T], cases: Iterable[Any]) -> list[T]:
    """What a scenario returns for each case, all run at once: most of their time they wait."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(scenario, cases))


def _table(head: str, keys: Mapping[str, Any]) -> str:
    return "\n".join([head, *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""])


class Child:
    """One run of a pipeline in a folder that has its edgeml.toml, its outbox and its log."""

    def __init__(self, folder: Path, text: str, longest_s: float = LONGEST_S) -> None:
        self.folder, self.outbox = folder, folder / "waiting.outbox"
        self.log = folder / "log"
        (folder / "edgeml.toml").write_text(text)
        (self._status,) = re.findall('status = "(.*)"', text)
        self._from = self.log.stat().st_size if self.log.exists() else 0
        self.begun_s, self._fed_s = boottime_s(), 0.0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_RUN, "--duration", str(longest_s)],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """What it wrote to its standard error."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode()

    def until(self, condition: Any, seconds: float = 30.0) -> None:
        """Wait for something while it runs; where it does not come, what every thread does is said."""
        try:
            wait_for(lambda: condition() or not self.running, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._stuck()}") from None
        assert self.running, self.said[-3000:]

    def metric(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of a metric, as it says now; nothing where it has none."""
        with urllib.request.urlopen(f"http://{self._status}/metrics", timeout=10) as answer:
            family = parse(answer.read().decode()).get(name)
        return [(labels, value) for _, labels, value in family.samples] if family else []

    def feed(self, lines: str) -> None:
        """Samples for its standard input, at the sensor's pace: faster, their times would overlap."""
        assert self._process.stdin is not None
        time.sleep(max(0.0, self._fed_s + lines.count("\n") / RATE_HZ - time.monotonic()))
        self._fed_s = time.monotonic()
        self._process.stdin.write(lines.encode())
        self._process.stdin.flush()

    def account(self, sink: str, column: str) -> int:
        """A figure of a sink, as it says now."""
        found = self.metric(f"edgeml_sink_{column}")
        return sum(int(value) for labels, value in found if labels["sink"] == sink)

    def kill(self) -> float:
        """SIGKILL; returns a moment at which it was dead."""
        self._process.kill()
        self._process.communicate()
        return boottime_s()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP; returns when it is stopped."""
        self.signal(signal.SIGSTOP)
        state = Path(f"/proc/{self._process.pid}/stat")
        wait_for(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def limit_files(self, size: int | None) -> None:
        """No file may grow beyond a size any more, as where a disk is full; None lifts it."""
        most = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def stop(self, seconds: float = 40.0) -> dict[str, Any]:
        """SIGTERM; returns its report."""
        self.signal(signal.SIGTERM)
        return self.ended(seconds)

    def ended(self, seconds: float = 40.0) -> dict[str, Any]:
        """Its report, when it has ended well."""
        try:
            out, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end: {self._stuck()}") from None
        finally:
            if self.running:
                self.kill()
        assert self._process.returncode == 0, self.said[-3000:]
        assert "Traceback" not in self.said, self.said[-3000:]
        return dict(json.loads(out))

    def _stuck(self) -> str:
        self.signal(signal.SIGABRT)
        self._process.communicate()
        return self.said[-12000:]

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()
