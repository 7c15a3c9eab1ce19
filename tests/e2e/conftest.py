"""The demo, run once for all tests that need its model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Demo:
    """What `edgeml demo --json` left behind."""

    folder: Path
    result: dict[str, Any]
    screen: str

    @property
    def model(self) -> Path:
        return Path(self.result["model"])

    def recordings(self, label: str, subject: str) -> list[Path]:
        return sorted((self.folder / "dataset" / "recordings" / label).glob(f"{subject}_*.csv"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "edgeml-demo"
    finished = edgeml("demo", "-o", str(folder), "--json", timeout=280)
    assert finished.returncode == 0, finished.stderr
    return Demo(folder, json.loads(finished.stdout), finished.stderr)


def edgeml(
    *arguments: str, timeout: float = 120, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """One command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
    )
