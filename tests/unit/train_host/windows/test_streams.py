from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_sdk.contract import Input
from tests.folders import MOTION, motion, pictures
from train_host.judging import evaluate
from train_host.judging.judged import Judged
from train_host.windows.streams import Side, numbers, streams


def test_streams_are_the_recordings_behind_the_windows(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=3)
    windows = dataset.windows(["p0", "p2"], 40, 15)
    found = streams(dataset, ["p0", "p2"], 40, 15)
    assert [stream.windows.stop for stream in found] == [6, 12, 18, 24]
    for stream in found:
        signal = dataset.read(stream.recording)
        assert stream.duration_s == 6.0
        for number, window in enumerate(stream.windows):
            end = round(stream.end_s(number) * 20)
            np.testing.assert_array_equal(windows.x[window], signal.samples[end - 40 : end])
            assert windows.group[window] == stream.recording.group
            assert dataset.labels[windows.y[window]] == stream.recording.label
    assert numbers(found).tolist() == sorted([0, 1, 2, 3] * 6)


def test_a_recording_that_is_shorter_than_a_window_keeps_its_time(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=2, seconds=1.5)
    found = streams(dataset, ["p0"], 40, 20)
    assert [len(stream.windows) for stream in found] == [0, 0]
    assert [stream.duration_s for stream in found] == [1.5, 1.5]
    assert numbers(found).tolist() == []


def test_an_image_is_a_recording_of_one_window(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d", groups=2, each=3)
    found = streams(dataset, dataset.groups, 1, 1)
    assert [stream.windows for stream in found] == [range(n, n + 1) for n in range(12)]
    assert {stream.rate_hz for stream in found} == {None}


def test_intervals_of_classes_are_over_groups_and_of_groups_over_recordings(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=3)
    windows = dataset.windows(dataset.groups, 40, 20)
    side = Side(windows, tuple(streams(dataset, dataset.groups, 40, 20)))
    scores = np.eye(2, dtype=np.float32)[windows.y]
    bad = np.flatnonzero((np.asarray(windows.group) == "p1") & (windows.y == 1))
    scores[bad] = [1, 0]  # of one person every shake is missed
    found = evaluate.intervals(scores, windows, dataset.labels, side.clusters[1])
    assert found["per_group_n"] == {"p0": 10, "p1": 10, "p2": 10}
    low, high = found["per_group_interval"]["p1"]
    assert low == 0.0  # one of its two recordings is right and the other is not
    assert high == 1.0
    assert found["per_group_interval"]["p0"][0] > 0.7
    assert found["per_class_interval"][0][0] > 0.7
    assert found["per_class_interval"][1][0] < 0.4


def test_a_class_without_windows_has_no_interval(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=2)
    windows = dataset.windows(["p0"], 40, 20)
    found = evaluate.intervals(np.ones((10, 3)), windows, ("rest", "shake", "fall"), [0] * 10)
    assert found["per_class_interval"][2] is None


def test_where_a_window_is_from_is_said_for_people(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=2)
    found = tuple(streams(dataset, ["p1"], 40, 20))
    windows = dataset.windows(["p1"], 40, 20)
    judged = Judged("m", dataset, windows, found, windows.x[:, 0, :2], None, Input(MOTION, 20.0, 40, 20))
    assert judged.place(0) == "recordings/rest/p1_1.csv at 0.00 s"
    assert judged.place(7) == "recordings/shake/p1_1.csv at 2.00 s"
