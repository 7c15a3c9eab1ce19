from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import recordings
from edge_sdk.dataset import Dataset
from edge_sdk.recordings import Signal
from tests.folders import RATE_HZ, motion, pictures
from tests.task_folders import bearing
from train_host.data.check import check
from train_host.data.finding import Finding

FILE = "recordings/rest/p0_1.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    motion(tmp_path / "data")
    return tmp_path / "data"


def change(
    folder: Path, edit: Callable[[np.ndarray], np.ndarray | None], rate_hz: float | None = RATE_HZ
) -> None:
    signal = recordings.read(folder / FILE)
    samples = signal.samples.copy()
    edited = edit(samples)
    recordings.write(folder / FILE, Signal(samples if edited is None else edited, rate_hz, signal.channels))


def the_only(folder: Path) -> Finding:
    findings = check(folder).findings
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]


def test_a_good_dataset_has_no_findings(folder: Path) -> None:
    checked = check(folder)
    assert checked.findings == ()
    assert checked.errors == 0
    assert checked.amount == {"rest": pytest.approx(30), "shake": pytest.approx(30)}


def test_good_images_have_no_findings(tmp_path: Path) -> None:
    pictures(tmp_path / "d")
    checked = check(tmp_path / "d")
    assert checked.findings == ()
    assert checked.amount == {"level": 24, "upright": 24}


def put_nan(samples: np.ndarray) -> None:
    samples[3:5, 1] = np.nan
    samples[7, 2] = np.inf


def clip(samples: np.ndarray) -> None:
    time = np.arange(len(samples))
    samples[:, 0] = np.clip(np.sin(time / 9) + time / 1e4, -2, 0.7)


def freeze(samples: np.ndarray) -> None:
    samples[40:80, 2] = 0.5


def kill(samples: np.ndarray) -> None:
    samples[:, 1] = 0


def shorten(samples: np.ndarray) -> np.ndarray:
    return samples[:30]


@pytest.mark.parametrize(
    ("edit", "severity", "what"),
    [
        (put_nan, "error", "NaN or inf in ay, az (3 of 360 values)"),
        (clip, "warning", "ax is clipped at "),
        (freeze, "warning", "az is stuck at 0.5 for 2.0 s from 2.0 s on"),
        (kill, "warning", "ay is 0 throughout"),
        (shorten, "warning", "30 samples, shorter than a window of 40"),
    ],
)
def test_a_spoilt_recording_is_found(folder: Path, edit: Callable, severity: str, what: str) -> None:
    change(folder, edit)
    (finding,) = check(folder, window=40).findings
    assert (finding.severity, finding.file) == (severity, FILE)
    assert what in finding.what
    assert finding.remedy


def test_a_slow_signal_in_coarse_steps_is_not_clipped(folder: Path) -> None:
    def drift(samples: np.ndarray) -> None:
        samples[:, 0] = np.round(20 + np.sin(np.arange(len(samples)) / 20), 1)

    change(folder, drift)
    assert check(folder, window=40).findings == ()


def test_another_rate_is_an_error_that_says_both(folder: Path) -> None:
    change(folder, lambda samples: None, rate_hz=25.0)
    finding = the_only(folder)
    assert (finding.severity, finding.file) == ("error", FILE)
    assert "another rate: expected 20 Hz, found 25 Hz" in finding.what
    assert FILE not in finding.what


def test_gaps_in_the_time_column_are_found(folder: Path) -> None:
    lines = (folder / FILE).read_text().splitlines()
    (folder / FILE).write_text("\n".join([*lines[:40], *lines[45:80], *lines[90:]]))
    assert "2 gaps in the time column" in the_only(folder).what


def test_values_beyond_the_range_are_found(folder: Path) -> None:
    path = folder / "dataset.toml"
    path.write_text(
        path.read_text().replace('name = "az", unit = "g"', 'name = "az", unit = "g", range = [-2, 2]')
    )

    def exceed(samples: np.ndarray) -> None:
        samples[5, 2] = 9

    change(folder, exceed)
    assert "az leaves its range of -2 to 2 g (1 samples" in the_only(folder).what


@pytest.mark.parametrize(
    ("copy", "severity", "what"),
    [
        ("recordings/shake/p0_7.csv", "error", "under another label"),
        ("recordings/rest/p1_7.csv", "error", "of another group"),
        ("recordings/rest/p0_7.csv", "warning", "the same samples as"),
    ],
)
def test_duplicates_are_found_across_labels_and_groups(
    folder: Path, copy: str, severity: str, what: str
) -> None:
    shutil.copy(folder / FILE, folder / copy)
    finding = the_only(folder)
    assert finding.severity == severity
    assert what in finding.what


def test_a_duplicate_in_another_format_is_found(folder: Path) -> None:
    recordings.write(folder / "recordings/rest/p1_8.npz", recordings.read(folder / FILE))
    assert "of another group" in the_only(folder).what


def test_a_group_on_both_sides_is_an_error(folder: Path) -> None:
    rows = [f"{r.file},{r.label},{r.group}," for r in Dataset.load(folder).recordings]
    rows[0] += "train"
    rows[1] = rows[1].replace(",p1,", ",p0,") + "test"
    (folder / "manifest.csv").write_text("\n".join(["file,label,group,split", *rows]))
    finding = check(folder).findings[0]
    assert finding.severity == "error"
    assert "person 'p0' is on 2 sides of the split (test, train)" in finding.what


def test_imbalance_missing_labels_and_single_groups_are_found(tmp_path: Path) -> None:
    folder = motion(tmp_path / "d", labels=("rest", "shake", "fall"), groups=7).folder
    for n in range(1, 7):
        (folder / f"recordings/shake/p{n}_1.csv").unlink()
    for path in (folder / "recordings/fall").iterdir():
        path.unlink()
    found = {finding.what: finding.severity for finding in check(folder).findings}
    assert found == {
        "no recordings of label 'fall'": "error",
        "label 'shake' was recorded with one person only (p0)": "warning",
        "'rest' has 7 times as much as 'shake' (42 and 6 s)": "warning",
    }


def test_recordings_without_label_and_files_outside_of_the_manifest_are_found(folder: Path) -> None:
    rows = [f"{r.file},{r.label},{r.group}" for r in Dataset.load(folder).recordings]
    rows[0] = rows[0].replace(",rest,", ",,")
    (folder / "manifest.csv").write_text("\n".join(["file,label,group", *rows[:-1]]))
    assert {finding.what for finding in check(folder).findings} == {"no label", "not in manifest.csv"}


def test_too_few_groups_are_found(tmp_path: Path) -> None:
    motion(tmp_path / "d", groups=2)
    assert "2 persons with labels" in the_only(tmp_path / "d").what


def test_malformed_files_are_findings_and_not_the_end(folder: Path) -> None:
    (folder / FILE).write_text("ax,ay,az\n1,2\n")
    (folder / "recordings/rest/p1_1.csv").write_bytes(b"")
    findings = check(folder).findings
    assert [finding.severity for finding in findings] == ["error", "error"]
    assert findings[0].what == "line 2: expected 3 columns, found 2"
    assert findings[1].what == "the file is empty"


def test_a_folder_that_cannot_be_loaded_is_one_error(folder: Path) -> None:
    (folder / "dataset.toml").unlink()
    checked = check(folder)
    assert checked.errors == 1
    assert checked.dataset is None
    assert "no dataset.toml" in checked.findings[0].what


def test_a_switch_and_a_noisy_peak_are_not_called_clipped(folder: Path) -> None:
    def switch(samples: np.ndarray) -> None:
        samples[:, 0] = np.arange(len(samples)) // 7 % 2

    change(folder, switch)
    assert check(folder).findings == ()


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (("p0", "Anna", "anna", "p3", "p4"), "persons 'Anna' and 'anna' differ in their spelling only"),
        (("p0", "press 7", "press-7", "p3", "p4"), "persons 'press 7' and 'press-7' differ"),
        (("p0", "p1-2", "p12", "p3", "p4"), None),
    ],
)
def test_groups_that_are_most_likely_one_are_found(folder: Path, groups: tuple, told: str | None) -> None:
    rows = [f"{r.file},{r.label},{groups[int(r.group[1])]}" for r in Dataset.load(folder).recordings]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group", *rows]))
    found = [finding.what for finding in check(folder).findings]
    assert [what[: len(told or "")] for what in found] == ([told] if told else [])


def test_a_split_that_leaves_nothing_of_a_label_on_a_side_is_found(folder: Path) -> None:
    sides = {"p0": "test"}
    rows = [
        f"{r.file},{'shake' if r.group == 'p0' else r.label},{r.group},{sides.get(r.group, 'train')}"
        for r in Dataset.load(folder).recordings
    ]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group,split", *rows]))
    finding = the_only(folder)
    assert (finding.severity, finding.what) == ("warning", "the split leaves nothing of 'rest' to test on")
    rows = [row.replace("train", "test") if ",rest," in row else row.replace("test", "train") for row in rows]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group,split", *rows]))
    told = {finding.what: finding.severity for finding in check(folder).findings}
    assert told["the split leaves nothing of 'rest' to train on"] == "error"


def test_rare_anomalies_are_as_they_should_be(tmp_path: Path) -> None:
    folder = bearing(tmp_path / "d", groups=6, seconds=4.0).folder
    for path in sorted((folder / "recordings/imbalance").iterdir())[1:]:
        path.unlink()
    for path in sorted((folder / "recordings/bearing").iterdir())[1:]:
        path.unlink()
    assert check(folder).findings == ()


def test_where_recordings_are_short_so_is_the_window_as_in_training(folder: Path) -> None:
    for path in sorted(folder.rglob("*.csv"))[:8]:
        recordings.write(path, Signal(recordings.read(path).samples[:30], RATE_HZ, ("ax", "ay", "az")))
    assert check(folder).findings == ()
    assert len(check(folder, window=31).findings) == 8


def test_a_group_in_two_folds_is_an_error(folder: Path) -> None:
    rows = [
        f"{r.file},{r.label},{r.group},{n % 3 + 1}" for n, r in enumerate(Dataset.load(folder).recordings)
    ]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group,fold", *rows]))
    findings = check(folder).findings
    assert {finding.severity for finding in findings} == {"error"}
    assert findings[0].what == "person 'p0' is in 2 folds (1, 3)"
