from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edge_sdk import recordings
from edge_sdk.dataset import Dataset
from edge_sdk.dataset.manifest import write_manifest
from edge_sdk.errors import ConfigError, DatasetError
from edge_sdk.recordings import Signal
from tests.folders import motion
from train_host.data import versioning
from train_host.data.versioning import Version, changes, find, save, saved, snapshot

REST = "recordings/rest/"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return motion(tmp_path / "d").folder


def now(folder: Path) -> Version:
    return snapshot(Dataset.load(folder))


def told(before: Version, after: Version) -> list[tuple[str, str, object, object]]:
    return [(c.kind, c.what, c.before, c.after) for c in changes(before, after)]


def test_nothing_has_changed_in_a_folder_that_was_copied(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert changes(now(folder), now(tmp_path / "copy")) == []
    assert now(folder).digest == now(tmp_path / "copy").digest == Dataset.load(folder).digest


def test_every_kind_of_change_is_told(folder: Path) -> None:
    before = now(folder)
    base = folder / "recordings"
    signal = recordings.read(base / "rest/p0_1.csv")
    (base / "rest/p1_1.csv").rename(base / "shake/p1_2.csv")
    (base / "rest/p2_1.csv").unlink()
    (base / "rest/p3_1.csv").rename(base / "rest/p3_morning.csv")
    recordings.write(base / "rest/p0_1.csv", Signal(signal.samples + 1, signal.rate_hz, signal.channels))
    recordings.write(base / "rest/p9_1.csv", Signal(signal.samples * 2, signal.rate_hz, signal.channels))
    (base / "shake/p4_1.csv").rename(base / "shake/p5_1.csv")
    toml = folder / "dataset.toml"
    toml.write_text(toml.read_text().replace('licence = "CC0"', 'licence = "MIT"'))
    assert told(before, now(folder)) == [
        ("facts", "licence", "CC0", "MIT"),
        ("changed", "recordings/rest/p0_1.csv", None, None),
        ("removed", "recordings/rest/p2_1.csv", "rest", None),
        ("renamed", f"{REST}p3_morning.csv", f"{REST}p3_1.csv", f"{REST}p3_morning.csv"),
        ("added", "recordings/rest/p9_1.csv", None, "rest"),
        ("relabelled", "recordings/shake/p1_2.csv", "rest", "shake"),
        ("renamed", "recordings/shake/p1_2.csv", "recordings/rest/p1_1.csv", "recordings/shake/p1_2.csv"),
        ("regrouped", "recordings/shake/p5_1.csv", "p4", "p5"),
        ("renamed", "recordings/shake/p5_1.csv", "recordings/shake/p4_1.csv", "recordings/shake/p5_1.csv"),
    ]  # fmt: skip


def test_what_a_manifest_says_of_pieces_is_compared_piece_by_piece(folder: Path) -> None:
    dataset = Dataset.load(folder)
    first, *rest = dataset.recordings
    pieces = [replace(first, end_s=3.0), replace(first, start_s=3.0, label="shake")]
    write_manifest(folder / "manifest.csv", [*pieces, *rest])
    before = now(folder)
    pieces[0] = replace(pieces[0], label="shake", split="test")
    pieces[1] = replace(pieces[1], fold=2)
    write_manifest(folder / "manifest.csv", [*pieces, *rest])
    assert told(before, now(folder)) == [
        ("moved to another side", first.file, None, "test"),
        ("refolded", first.file, None, 2),
        ("relabelled", first.file, "rest", "shake"),
    ]


def test_versions_are_remembered_without_changing_the_digest(folder: Path) -> None:
    before = now(folder)
    save(folder, "first", before)
    assert now(folder).digest == before.digest
    assert list(saved(folder)) == ["first"]
    assert saved(folder)["first"].saved.endswith("+00:00")
    assert changes(saved(folder)["first"], now(folder)) == []
    save(folder, "first", before)  # of the same state once more
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_name_is_given_once(folder: Path) -> None:
    save(folder, "first", now(folder))
    (folder / "recordings/rest/p0_1.csv").unlink()
    with pytest.raises(ConfigError, match="--save: expected a new name.*found 'first', of 20"):
        save(folder, "first", now(folder))
    for name in ("", "a/b", "a\nb"):
        with pytest.raises(ConfigError, match="--save"):
            save(folder, name, now(folder))


def test_others_are_found_by_name_and_by_folder(folder: Path, tmp_path: Path) -> None:
    save(folder, "first", now(folder))
    shutil.copytree(folder, tmp_path / "copy")
    assert find(folder, "first")[1].digest == now(folder).digest
    assert find(folder, str(tmp_path / "copy"))[1].digest == now(folder).digest
    with pytest.raises(
        ConfigError, match="a saved version, or a dataset folder.*saved: first; did you mean 'first'"
    ):
        find(folder, "frist")


def test_a_history_that_is_no_plain_file_is_not_read(folder: Path) -> None:
    path = folder / versioning.FILE
    for make in (lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), lambda: _sparse(path)):
        make()
        with pytest.raises(DatasetError, match=r"versions\.json: cannot be read.*no plain file"):
            saved(folder)
        path.unlink()


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3}', b'{"a": {"digest": 1}}', b"\xff"])
def test_a_damaged_history_is_refused(folder: Path, content: bytes) -> None:
    (folder / versioning.FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=r"versions\.json: cannot be read.*history") as caught:
        saved(folder)
    assert "\n" not in str(caught.value)
