from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.dataset.manifest import write_manifest
from edge_sdk.errors import DatasetError
from tests.folders import manifest


def test_a_manifest_alone_says_what_the_recordings_are(folder: Path) -> None:
    manifest(
        folder, "recordings/rest/p0_1.csv,rest,anna,1,3,,", "recordings/rest/p0_1.csv,shake,anna,3,,,", ""
    )
    dataset = Dataset.load(folder)
    first, second = (dataset.read(recording) for recording in dataset.recordings)
    assert (len(first.samples), len(second.samples)) == (40, 60)
    assert dataset.groups == ("anna",)
    assert [recording.label for recording in dataset.recordings] == ["rest", "shake"]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("file,label,group", "recordings/rest/p0_1.csv,rest", "line 2: expected 3 columns, found 2"),
        ("file,label", "a,b", "line 1: expected columns file,label,group"),
        ("file,label,group,colour", "a,b,c,d", "unknown column 'colour'"),
        ("file,label,group", "../../etc/passwd,rest,p0", "a path inside the folder"),
        ("file,label,group", "/etc/passwd,rest,p0", "a path inside the folder"),
        ("file,label,group", ",rest,p0", "a path inside the folder"),
        (
            "file,label,group",
            "recordings/rest/none_1.csv,rest,p0",
            r"no such recording: found recordings/rest/none_1\.csv",
        ),
        ("file,label,group", "recordings/rest/p0_1.csv,rest,", "line 2: group"),
        ("file,label,group", "recordings/rest/p0_1.csv,jump,p0", "unknown label.*one of rest, shake"),
        (
            "file,label,group,split",
            "recordings/rest/p0_1.csv,rest,p0,dev",
            "one of train, validation, test, found dev",
        ),
        (
            "file,label,group,start_s",
            "recordings/rest/p0_1.csv,rest,p0,soon",
            "line 2: start_s: expected a number",
        ),
        ("file,label,group,end_s", "recordings/rest/p0_1.csv,rest,p0,nan", "a finite number"),
        ("file,label,group,start_s,end_s", "recordings/rest/p0_1.csv,rest,p0,3,2", "0 <= start_s < end_s"),
        ("file,label,group", '"recordings', "cannot be read"),
    ],
)
def test_a_wrong_manifest_names_line_and_fault(folder: Path, header: str, row: str, message: str) -> None:
    manifest(folder, row, header=header)
    with pytest.raises(DatasetError, match=message):
        Dataset.load(folder)


def test_a_manifest_is_replaced_whole_and_folds_change_the_digest(folder: Path) -> None:
    dataset = Dataset.load(folder)
    write_manifest(folder / "manifest.csv", dataset.recordings)
    assert Dataset.load(folder).recordings == dataset.recordings
    assert Dataset.load(folder).digest == dataset.digest
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    other = [replace(recording, fold=1) for recording in dataset.recordings]
    write_manifest(folder / "manifest.csv", other)
    assert Dataset.load(folder).recordings == tuple(other)
    assert Dataset.load(folder).digest != dataset.digest
