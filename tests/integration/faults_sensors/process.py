"""`edgeml run` as a process of its own, and what it takes of the machine."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.blocks import boottime_s
from tests.integration.faults.child import LONGEST_S, Child
from tests.integration.faults.oracle import balanced

_TICKS = os.sysconf("SC_CLK_TCK")


class Process(Child):
    """A child that is asked how it is."""

    def __init__(self, folder: Path, text: str, longest_s: float = LONGEST_S) -> None:
        super().__init__(folder, f'status = "127.0.0.1:0"\n{text}', longest_s)
        self.until(lambda: "/health" in self.said)
        (self._address,) = re.findall(r"http://([\d.:]+)/health", self.said)

    def health(self) -> dict[str, Any]:
        """What /health says, whatever its status."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/health", timeout=10) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
        return (
            dict(json.loads(text)) if text.startswith(b"{") else {"health": "", "problems": [], "sources": []}
        )

    def source(self, nth: int = 0) -> dict[str, Any]:
        """One source of /health."""
        sources = self.health()["sources"]
        return dict(sources[nth]) if sources else {"connected": False, "faults": {}}

    def connected(self, nth: int = 0) -> bool:
        return bool(self.source(nth)["connected"])

    def has_read(self, samples: int) -> bool:
        """Whether so many samples have reached the model, or were counted on the way."""
        return int(self.health()["ledger"]["samples"]) >= samples

    def complains(self, *words: str) -> Callable[[], bool]:
        """Whether /health names a problem with all of these words, and is not `ok`."""

        def look() -> bool:
            now = self.health()
            named = any(all(word in problem for word in words) for problem in now["problems"])
            return named and now["health"] in ("degraded", "failing")

        return look

    def cpu_s(self) -> float:
        """Processor time so far, s."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def status(self, key: str) -> int:
        """A figure of /proc/PID/status: ``VmRSS`` in kB, ``Threads``."""
        found = re.search(rf"^{key}:\s+(\d+)", self._proc("status"), re.M)
        assert found is not None
        return int(found[1])

    def files(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def end(self) -> dict[str, Any]:
        """SIGTERM, which it obeys within ten seconds; its ledger, which is balanced."""
        return balanced(self.stop(10.0))

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/{name}").read_text()


class Measure:
    """How long something took, and how much of a processor it cost meanwhile."""

    seconds = busy = 0.0


@contextmanager
def measured(process: Process) -> Iterator[Measure]:
    found, begun, spent = Measure(), boottime_s(), process.cpu_s()
    yield found
    found.seconds = boottime_s() - begun
    found.busy = (process.cpu_s() - spent) / found.seconds


@contextmanager
def environment(variables: Mapping[str, str], **more: str) -> Iterator[None]:
    """Processes that are started meanwhile find these variables in their environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**variables, **more}.items():
            patch.setenv(name, value)
        yield


def stored(path: Path) -> list[Mapping[str, Any]]:
    """The predictions of a file of JSON lines."""
    return [json.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]
