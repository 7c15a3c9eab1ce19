from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import recordings
from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, DatasetError
from edge_sdk.recordings import Signal
from tests.folders import motion, pictures
from train_host.data.importing import Request, find, parse_channels, run


def import_(*sources: Path, **options: object) -> Dataset:
    paths, _ = find(sources)
    return run(Request(sources=sources, **options), paths).dataset  # type: ignore[arg-type]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return motion(tmp_path / "made").folder / "recordings"


def test_a_tree_of_labels_becomes_a_dataset_with_the_files_as_they_were(raw: Path, tmp_path: Path) -> None:
    dataset = import_(raw, output=tmp_path / "d", licence="CC0", group_is="person", name="walks")
    assert (dataset.name, dataset.rate_hz, dataset.licence, dataset.group) == ("walks", 20, "CC0", "person")
    assert dataset.labels == ("rest", "shake")
    assert dataset.groups == ("p0", "p1", "p2", "p3", "p4")
    for recording in dataset.recordings:
        assert (dataset.folder / recording.file).read_bytes() == (raw.parent / recording.file).read_bytes()


def test_channels_are_chosen_and_get_units_and_ranges(raw: Path, tmp_path: Path) -> None:
    dataset = import_(raw, output=tmp_path / "d", channels=parse_channels("az:g:-2:2,ax"))
    assert dataset.channels == (Channel("az", "g", (-2.0, 2.0)), Channel("ax"))
    original = recordings.read(raw / "rest/p0_1.csv")
    got = dataset.read(dataset.recordings[0])
    np.testing.assert_array_equal(got.samples, original.samples[:, [2, 0]])
    with pytest.raises(DatasetError, match=r"channels: expected p, found ax, ay, az; choose with --channels"):
        import_(raw, output=tmp_path / "e", channels=parse_channels("p"))


def test_a_csv_without_header_and_rate_takes_them_from_the_options(tmp_path: Path) -> None:
    (tmp_path / "raw/on").mkdir(parents=True)
    (tmp_path / "raw/on/m_1.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DatasetError, match="no header"):
        import_(tmp_path / "raw", output=tmp_path / "d", rate_hz=10)
    with pytest.raises(DatasetError, match="no rate.*--rate-hz"):
        import_(tmp_path / "raw", output=tmp_path / "d", channels=parse_channels("a,b"))
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", channels=parse_channels("a,b"), rate_hz=10)
    assert dataset.read(dataset.recordings[0]).samples.tolist() == [[1, 2], [3, 4]]


def test_label_group_and_pattern_name_what_paths_do_not(tmp_path: Path) -> None:
    (tmp_path / "raw/anna/walk").mkdir(parents=True)
    one = Signal(np.ones((4, 1), np.float32), 10.0, ("x",))
    for name in ("a", "b"):
        recordings.write(tmp_path / f"raw/anna/walk/{name}.csv", one)
    with pytest.raises(DatasetError, match="no group in the name.*--group or --pattern"):
        import_(tmp_path / "raw", output=tmp_path / "d")
    by_pattern = import_(
        tmp_path / "raw", output=tmp_path / "d", pattern=r"(?P<group>[^/]+)/(?P<label>[^/]+)/(?P<id>[^/]+)$"
    )
    assert [r.file for r in by_pattern.recordings] == [
        "recordings/walk/anna_a.csv",
        "recordings/walk/anna_b.csv",
    ]
    by_option = import_(tmp_path / "raw", output=tmp_path / "e", label="run", group="bob")
    assert {(r.label, r.group) for r in by_option.recordings} == {("run", "bob")}


@pytest.mark.parametrize("pattern", ["(", "no groups", "(?P<person>x)"])
def test_a_pattern_without_known_groups_is_refused(raw: Path, tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="--pattern"):
        import_(raw, output=tmp_path / "d", pattern=pattern)


def test_a_pattern_that_does_not_match_is_an_error(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--pattern does not match"):
        import_(raw, output=tmp_path / "d", pattern="(?P<label>nowhere)")


def test_wav_and_png_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "raw/yes").mkdir(parents=True)
    with wave.open(str(tmp_path / "raw/yes/anna_1.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.arange(100, dtype=np.int16).tobytes())
    audio = import_(tmp_path / "raw", output=tmp_path / "audio")
    assert audio.channels == (Channel("audio", "", (-1.0, 1.0)),)
    assert audio.rate_hz == 8000

    images = import_(pictures(tmp_path / "p").folder / "recordings", output=tmp_path / "images")
    assert images.rate_hz is None
    assert images.channels == (Channel("gray", "", (0.0, 255.0)),)
    assert images.layout == "HWC"


def test_a_recording_at_another_rate_stops_the_import_and_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    (raw / "shake/p4_1.csv").write_text("time_s,ax,ay,az\n" + "\n".join(f"{n / 50},1,2,3" for n in range(50)))
    with pytest.raises(
        DatasetError, match=r"p4_1\.csv: recorded at another rate: expected 20 Hz, found 50 Hz"
    ):
        import_(raw, output=tmp_path / "new/d")
    assert not list((tmp_path / "new").iterdir())


def test_what_is_no_recording_is_left_out_and_named(raw: Path) -> None:
    (raw / "notes.txt").write_text("x")
    (raw / ".hidden.csv").write_text("x")
    paths, others = find([raw])
    assert len(paths) == 10
    assert others == [raw / "notes.txt"]
    with pytest.raises(DatasetError, match="no such file"):
        find([raw / "absent"])
    with pytest.raises(DatasetError, match=r"no recordings: expected files that end in \.csv"):
        find([raw / "notes.txt"])


@pytest.mark.parametrize("text", ["", "a,,b", "a:g:1", "a:g:2:1", "a:g:x:1", "a,a", "a:g:1:2:3"])
def test_channels_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--channels"):
        parse_channels(text)


def test_short_recordings_are_filled_up_with_silence_at_both_ends(tmp_path: Path) -> None:
    folder = tmp_path / "raw/yes"
    folder.mkdir(parents=True)
    for name, n in (("short", 5), ("long", 30)):
        with wave.open(str(folder / f"{name}_1.wav"), "wb") as file:
            file.setparams((1, 2, 20, 0, "NONE", ""))
            file.writeframes(np.full(n, 16384, "<i2").tobytes())
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", pad_s=0.5)
    found = {recording.group: dataset.read(recording).samples[:, 0] for recording in dataset.recordings}
    assert found["short"].tolist() == [0, 0, *[0.5] * 5, 0, 0, 0]
    assert found["long"].tolist() == [0.5] * 30
    assert (dataset.folder / "recordings/yes/long_1.wav").exists()  # as it was
    assert dataset.rate_hz == 20


def test_images_are_not_filled_up(tmp_path: Path) -> None:
    made = pictures(tmp_path / "made")
    dataset = import_(made.folder / "recordings", output=tmp_path / "d", pad_s=2.0)
    assert dataset.read(dataset.recordings[0]).samples.shape == (12, 12, 1)


def test_short_holes_become_straight_lines_and_long_ones_stay(tmp_path: Path) -> None:
    samples = np.stack([np.arange(20.0), np.full(20, 7.0)], axis=1).astype(np.float32)
    holes = samples.copy()
    holes[3:5, 0] = holes[0, 1] = holes[18:, 1] = np.nan
    holes[8:14, 0] = np.inf
    (tmp_path / "raw/on").mkdir(parents=True)
    recordings.write(tmp_path / "raw/on/m_1.csv", Signal(holes, 10.0, ("a", "b")))
    raw = tmp_path / "raw"
    dataset = import_(raw, output=tmp_path / "d", fill_s=0.2)
    found = dataset.read(dataset.recordings[0]).samples
    assert np.flatnonzero(~np.isfinite(found).all(axis=1)).tolist() == list(range(8, 14))
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known], samples[known], atol=1e-6)
    dataset = import_(raw, output=tmp_path / "e", fill_s=0.6)
    np.testing.assert_allclose(dataset.read(dataset.recordings[0]).samples, samples, atol=1e-6)


def test_pictures_that_have_nothing_in_common_are_groups_of_their_own(tmp_path: Path) -> None:
    made = pictures(tmp_path / "made")
    raw = tmp_path / "raw"
    for number, recording in enumerate(made.recordings):
        (raw / str(recording.label)).mkdir(parents=True, exist_ok=True)
        (raw / str(recording.label) / f"{number}.png").write_bytes(
            (made.folder / recording.file).read_bytes()
        )
    with pytest.raises(DatasetError, match="each is a group: --pattern '(.*)'") as caught:
        import_(raw, output=tmp_path / "d")
    pattern = str(caught.value.remedy).split("'")[1]
    dataset = import_(raw, output=tmp_path / "d", pattern=pattern)
    assert len(dataset.groups) == len(dataset.recordings)
    assert dataset.labels == made.labels
