from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from edge_sdk.dataset import Dataset
from edge_sdk.dataset.collection import Collection
from tests.task_folders import pump


def test_a_manifest_with_targets_of_its_own_is_kept_as_it_is(tmp_path: Path) -> None:
    given = pump(tmp_path / "pump", groups=2, each=1)
    collection = Collection(given.folder, replace(given, labels=()))
    file = collection.add(given.read(given.recordings[0]), None, "p0", "new")
    grown = Dataset.load(given.folder)
    assert grown.recordings[:2] == given.recordings
    assert (grown.recordings[2].file, grown.recordings[2].target) == (file, None)
    collection.remove(file)
    assert Dataset.load(given.folder).recordings == given.recordings


def test_a_device_that_adds_to_a_folder_pays_for_nothing_that_reads_whole_ones() -> None:
    code = "import sys, edge_sdk.sinks.dataset; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "edge_sdk.dataset.collection" in loaded
    assert not loaded & {f"edge_sdk.dataset.{name}" for name in ("dataset", "groups", "reading", "writing")}
