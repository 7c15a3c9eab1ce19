"""The same content under two names: pieces of signals, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from train_host.data import lookalikes, overlap
from train_host.data.check import check
from train_host.data.finding import Finding
from train_host.data.overlap import Overlap

RATE_HZ = 50.0


def walks(count: int, n: int = 600, seed: int = 0) -> list[np.ndarray]:
    """Recordings of one kind that differ in nothing but noise and phase."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n)[:, None] / RATE_HZ
    return [
        (np.sin(2 * np.pi * 1.8 * time_s + rng.uniform(0, 6, 3)) + 0.1 * rng.normal(size=(n, 3))).astype(
            np.float32
        )
        for _ in range(count)
    ]


def overlaps(recordings: list[np.ndarray], rate_hz: float | None = RATE_HZ) -> list[Overlap]:
    landmarks = overlap.Landmarks()
    for index, samples in enumerate(recordings):
        landmarks.add(index, samples)
    return list(
        overlap.find(landmarks, list(range(len(recordings))), lambda index: recordings[index], rate_hz)
    )


def test_recordings_that_are_only_alike_have_nothing_in_common() -> None:
    assert overlaps(walks(40)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: np.round(x, 2),
        lambda x: 1.8 * x - 3,
        lambda x: x + np.random.default_rng(3).normal(0, 0.005, x.shape),
        lambda x: np.concatenate([walks(1, seed=9)[0][:150], x]),
        lambda x: x[::, [0, 1, 2]].astype(np.float16),
    ],
    ids=["cut", "rounded", "scaled", "noisy", "within another", "half precision"],
)
@pytest.mark.parametrize("start", [0, 123, 317])
def test_a_piece_of_another_recording_is_found_where_it_lies(change: Callable, start: int) -> None:
    recordings = walks(8)
    piece = change(recordings[5][start : start + 200]).astype(np.float32)
    before = len(piece) - 200
    (found,) = overlaps([*recordings, piece])
    assert (found.first, found.second) == (5, 8)
    assert found.at_first - found.at_second == start - before
    assert start <= found.at_first <= start + 64
    assert 128 <= found.length <= 224


def test_smooth_signals_are_compared_over_longer_steps() -> None:
    rng = np.random.default_rng(2)
    kernel = np.hanning(80) / 40
    smooth = [
        np.convolve(rng.normal(size=3000), kernel, "valid")[:, None].astype(np.float32) for _ in range(6)
    ]
    assert overlaps(smooth) == []
    (found,) = overlaps([*smooth, smooth[2][700:2000] * 3])
    assert (found.first, found.second, found.at_first - found.at_second) == (2, 6, 700)
    assert found.length > 1000


def test_what_repeats_itself_is_like_its_kind_and_a_copy_has_the_same_noise() -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(6000) / 2000
    mains = []
    for _ in range(12):
        phase = 2 * np.pi * (50 + rng.normal(0, 0.01)) * time_s + rng.uniform(0, 6)
        pulses = np.sign(np.sin(phase)) * (np.abs(np.sin(phase)) > 0.9)
        mains.append(np.stack([325 * np.sin(phase), pulses], axis=1) + rng.normal(size=(6000, 2)) * [2, 0.01])
    mains = [part.astype(np.float32) for part in mains]
    assert overlaps(mains, 2000.0) == []
    (found,) = overlaps([*mains, 0.5 * mains[3][1000:4000]], 2000.0)
    assert (found.first, found.second, found.at_first - found.at_second) == (3, 12, 1000)


def test_silence_and_constant_values_are_no_common_piece() -> None:
    quiet = [
        np.zeros((500, 2), np.float32),
        np.ones((500, 2), np.float32),
        np.full((500, 2), np.nan, np.float32),
    ]
    sounds = [np.concatenate([quiet[0], x[:, :2], quiet[0]]) for x in walks(3)]
    assert overlaps([*quiet, *quiet, *sounds]) == []


def test_short_and_empty_recordings_are_no_trouble() -> None:
    assert overlaps([np.zeros((n, 2), np.float32) for n in (0, 1, 2, 33, 34, 40)], None) == []


def test_a_stricter_hash_still_finds_what_a_lax_one_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_MOST", 500)
    recordings = walks(8, n=3000)
    (found,) = overlaps([*recordings, recordings[3][500:2500]])
    assert (found.first, found.second, found.at_first - found.at_second) == (3, 8, 500)


# --- pictures


def scene(seed: int, size: int = 48) -> np.ndarray:
    """A smooth picture of its own."""
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0, 255, (6, 6, 3))
    at = np.linspace(0, 5, size)
    low = np.minimum(at.astype(int), 4)
    share = (at - low)[:, None, None]
    rows = rough[low] * (1 - share) + rough[low + 1] * share
    share = (at - low)[None, :, None]
    return (rows[:, low] * (1 - share) + rows[:, low + 1] * share).astype(np.float32)


def pairs(pictures: list[np.ndarray]) -> list[tuple[int, int]]:
    thumbnails = lookalikes.Thumbnails()
    for index, pixels in enumerate(pictures):
        thumbnails.add(index, pixels)
    return sorted(thumbnails.pairs())


def test_pictures_of_other_things_are_no_copies() -> None:
    assert pairs([scene(seed) for seed in range(200)]) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x * 0.8 + 10,
        lambda x: x.mean(axis=2, keepdims=True),
        lambda x: np.repeat(np.repeat(x, 2, axis=0), 2, axis=1),
        lambda x: x + np.random.default_rng(1).normal(0, 6, x.shape),
        lambda x: lookalikes.thumbnail(x.mean(axis=2), 30)[:, :, None],
    ],
    ids=["same", "paler", "gray", "larger", "noisy", "smaller"],
)
def test_a_copy_of_a_picture_is_found(change: Callable) -> None:
    pictures = [scene(seed) for seed in range(50)]
    assert pairs([*pictures, change(pictures[17])]) == [(17, 50)]


def test_pictures_without_contrast_say_nothing() -> None:
    assert pairs([np.full((20, 20, 1), value, np.float32) for value in (0, 0, 255, 255)]) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16), (17, 31), (200, 100)])
def test_a_thumbnail_keeps_the_mean_whatever_the_size(shape: tuple[int, int]) -> None:
    gray = np.full(shape, 77, np.float32)
    np.testing.assert_allclose(lookalikes.thumbnail(gray, 16), 77, rtol=1e-5)


# --- in a dataset folder


def dataset(folder: Path, recordings: list[tuple[np.ndarray, str, str]], *, images: bool = False) -> Dataset:
    names = ("r", "g", "b") if images else ("ax", "ay", "az")
    facts = Facts(
        name="d",
        channels=tuple(Channel(name) for name in names),
        rate_hz=None if images else RATE_HZ,
        group="person",
    )
    suffix = ".png" if images else ".npz"
    rate = None if images else RATE_HZ
    return write(
        folder,
        facts,
        [
            NewRecording(Signal(samples, rate, names), label, group, str(n), suffix=suffix)
            for n, (samples, label, group) in enumerate(recordings)
        ],
    )


def told(folder: Path) -> list[Finding]:
    return [finding for finding in check(folder, window=50).findings if "most like it" not in finding.what]


def test_a_piece_under_two_groups_is_an_error_that_says_where(tmp_path: Path) -> None:
    own = [(x, "walk", f"p{n}") for n, x in enumerate(walks(4))]
    dataset(tmp_path / "d", [*own, (own[1][0][100:400], "walk", "p9")])
    (finding,) = told(tmp_path / "d")
    assert (finding.severity, finding.file) == ("error", "recordings/walk/p9_4.npz")
    assert finding.what == (
        "0.00 to 5.76 s is the same as in recordings/walk/p1_1.npz from 2.00 s on, of another person"
    )
    assert "both sides of a split" in finding.remedy


def test_a_piece_under_two_labels_is_a_warning_and_windows_that_overlap_are_one(tmp_path: Path) -> None:
    long = walks(4)
    own = [(x, "walk", f"p{n}") for n, x in enumerate(long)]
    windows = [(long[0][start : start + 100], "walk", "p0") for start in (0, 50, 100, 150)]
    dataset(tmp_path / "d", [*own, *windows[1:], (long[2][50:250], "run", "p2")])
    found = [
        finding for finding in told(tmp_path / "d") if "same" in finding.what or "overlap" in finding.what
    ]
    windowed, relabelled = sorted(found, key=lambda finding: finding.file)
    assert (relabelled.severity, relabelled.file) == ("warning", "recordings/walk/p2_2.npz")
    assert "the same as in recordings/run/p2_7.npz from 0.00 s on, under another label" in relabelled.what
    assert (windowed.severity, windowed.file) == ("warning", "")
    assert "pairs of recordings of one person overlap, such as recordings/walk/p0_" in windowed.what


def test_a_picture_under_two_groups_is_an_error(tmp_path: Path) -> None:
    own = [(np.rint(scene(n)), "cat", f"cam{n % 3}") for n in range(9)]
    dataset(tmp_path / "d", [*own, (np.rint(own[4][0] * 0.9), "cat", "cam2")], images=True)
    (finding,) = told(tmp_path / "d")
    assert finding.severity == "error"
    assert finding.what == "shows the same as recordings/cat/cam1_4.png, of another person"


def test_many_leaks_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train_host.data.leakage._TOLD", 2)
    long = walks(6)
    own = [(x, "walk", f"p{n}") for n, x in enumerate(long)]
    dataset(tmp_path / "d", [*own, *((x[50:350], "walk", f"q{n}") for n, x in enumerate(long))])
    errors = [finding for finding in told(tmp_path / "d") if finding.severity == "error"]
    assert len(errors) == 3
    assert "4 more recordings have pieces in common" in errors[0].what


def test_a_label_that_all_neighbours_contradict_is_a_hint(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def recording(label: str) -> np.ndarray:
        level = {"rest": 0.1, "walk": 1.0}[label]
        return (level * rng.normal(size=(300, 3))).astype(np.float32)

    own = [(recording(label), label, f"p{n % 5}") for n in range(20) for label in ("rest", "walk")]
    dataset(tmp_path / "d", [*own, (recording("rest"), "walk", "p3")])
    hints = [finding for finding in check(tmp_path / "d").findings if finding.severity == "hint"]
    assert [finding.file for finding in hints] == ["recordings/walk/p3_40.npz"]
    assert "is called 'walk', but 7 of the 7 recordings of other persons" in hints[0].what
    assert check(tmp_path / "d").errors == 0


def test_neighbours_that_know_nothing_give_no_hints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    own = [
        (rng.normal(size=(200, 3)).astype(np.float32), label, f"p{n % 5}")
        for n in range(20)
        for label in ("rest", "walk")
    ]
    dataset(tmp_path / "d", own)
    assert check(tmp_path / "d").findings == ()
