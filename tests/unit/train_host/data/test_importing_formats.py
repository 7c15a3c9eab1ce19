from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal, write
from train_host.data.importing import Imported, Request, find, run

cbor2 = pytest.importorskip("cbor2", reason="pip install 'edgeml-kit[data]'")
pillow = pytest.importorskip("PIL.Image", reason="pip install 'edgeml-kit[data]'")

RNG = np.random.default_rng(5)


def import_(*sources: Path, **options: Any) -> Dataset:
    return imported(*sources, **options).dataset


def imported(*sources: Path, **options: Any) -> Imported:
    paths, _ = find(sources)
    return run(Request(sources=sources, **options), paths)


# --- Edge Impulse


def acquisition(samples: Any = ((1, 2), (3, 4), (5, 6)), **payload: Any) -> dict[str, Any]:
    facts = {
        "device_name": "ac:87:a3",
        "device_type": "BOARD",
        "interval_ms": 16,
        "sensors": [{"name": "accX", "units": "m/s2"}, {"name": "accY", "units": "m/s2"}],
        "values": [list(row) for row in samples],
    }
    return {
        "protected": {"ver": "v1", "alg": "HS256", "iat": 1564128599},
        "signature": "b0ee" * 16,
        "payload": {**facts, **payload},
    }


def put(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else cbor2.dumps(content)
        if path.suffix == ".cbor"
        else json.dumps(content).encode()
    )
    return path


@pytest.mark.parametrize("suffix", ["json", "cbor"])
def test_an_acquisition_file_says_label_device_rate_channels_and_units(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, f"raw/idle.3.{suffix}", acquisition())
    dataset = import_(tmp_path / "raw", output=tmp_path / "d")
    assert dataset.rate_hz == 62.5
    assert dataset.channels == (Channel("accX", "m/s2"), Channel("accY", "m/s2"))
    (recording,) = dataset.recordings
    assert (recording.label, recording.group) == ("idle", "ac:87:a3")
    assert dataset.read(recording).samples.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_one_sensor_may_have_plain_numbers_and_no_device(tmp_path: Path) -> None:
    one = acquisition(sensors=[{"name": "audio", "units": "wav"}], values=[1, -2, 3], device_name=None)
    put(tmp_path, "raw/yes.json", one)
    with pytest.raises(DatasetError, match="no group in the name.*--group or --pattern"):
        import_(tmp_path / "raw", output=tmp_path / "d")
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", group="anna")
    assert dataset.read(dataset.recordings[0]).samples.tolist() == [[1], [-2], [3]]


def test_other_json_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "raw/meta.json", {"version": 3})
    put(tmp_path, "raw/idle.1.json", acquisition())
    paths, others = find([tmp_path / "raw"])
    assert [path.name for path in paths] == ["idle.1.json"]
    assert [path.name for path in others] == ["meta.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"payload": ', "cannot be read: expected JSON"),
        (b'{"protected": {"ver": "v1"}}', "expected protected, signature and payload"),
        (b'["payload"]', "expected protected, signature and payload"),
        ({"protected": {"ver": "v2"}, "payload": {}}, r"protected\.ver: expected v1, found v2"),
        (acquisition(interval_ms=0), r"payload\.interval_ms: expected a positive number, found 0"),
        (acquisition(interval_ms="fast"), r"payload\.interval_ms"),
        (acquisition(sensors=[]), r"payload\.sensors"),
        (acquisition(sensors=["x", "y"]), r"payload\.sensors\[0\]: expected name and units"),
        (acquisition(sensors=[{"name": "x"}, {"name": "x"}]), "'x' twice"),
        (acquisition(values=[]), r"payload\.values: expected a row of numbers"),
        (
            acquisition([(1, 2), (3,), (5, 6)]),
            r"payload\.values\[1\]: expected 2 numbers, one a sensor, found 1",
        ),
        (acquisition([(1, 2), (3, "x")]), r"payload\.values\[1\]: expected numbers, found x"),
        (acquisition(values=["Ref-BINARY-i16 (2 sensors)"]), "refers to another file"),
        (acquisition(device_name=4), r"payload\.device_name"),
    ],
)
def test_a_malformed_acquisition_file_names_the_place(tmp_path: Path, content: Any, message: str) -> None:
    put(tmp_path, "raw/idle.1.json", content)
    with pytest.raises(DatasetError, match=message) as caught:
        import_(tmp_path / "raw", output=tmp_path / "d")
    assert "idle.1.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d").exists()


def test_damaged_cbor_gives_a_dataset_error_and_nothing_else(tmp_path: Path) -> None:
    content = cbor2.dumps(acquisition(RNG.normal(size=(20, 2)).tolist()))
    refused = 0
    for trial in range(60):
        damaged = bytearray(content[: int(RNG.integers(1, len(content)))] if trial % 2 else content)
        damaged[int(RNG.integers(0, len(damaged)))] = int(RNG.integers(0, 256))
        put(tmp_path, "raw/idle.1.cbor", bytes(damaged))
        try:
            import_(tmp_path / "raw", output=tmp_path / "d", replace=True, label="idle", group="g")
        except DatasetError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - a damaged file may still be readable
    assert refused > 30


def test_labels_beside_the_files_win_over_their_names(tmp_path: Path) -> None:
    label = {"type": "label", "label": "walk"}
    stretches = [
        {"startIndex": 0, "endIndex": 1, "label": "rest"},
        {"startIndex": 2, "endIndex": 2, "label": "run"},
    ]
    files = [
        {"path": "training/a.1.json", "category": "training", "label": label},
        {
            "path": "training/b.2.json",
            "category": "testing",
            "label": {"type": "multi-label", "labels": stretches},
        },
        {"path": "training/c.3.json", "label": {"type": "unlabeled"}},
    ]
    put(tmp_path, "raw/info.labels", {"version": 1, "files": files})
    for entry in files:
        put(tmp_path, f"raw/{entry['path']}", acquisition())
    dataset = import_(tmp_path / "raw", output=tmp_path / "d")
    found = {r.file.split("/")[-1]: (r.label, dataset.read(r).samples.tolist()) for r in dataset.recordings}
    assert found == {
        "ac:87:a3_1.csv": ("walk", [[1, 2], [3, 4], [5, 6]]),
        "ac:87:a3_2-1.csv": ("rest", [[1, 2], [3, 4]]),
        "ac:87:a3_2-2.csv": ("run", [[5, 6]]),
        "ac:87:a3_3.csv": (None, [[1, 2], [3, 4], [5, 6]]),
    }


def test_structured_labels_cut_a_sound_of_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    with wave.open(str(folder / "anna_1.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.arange(10, dtype="<i2").tobytes())
    stretches = [
        {"startIndex": 0, "endIndex": 3, "label": "yes"},
        {"startIndex": 4, "endIndex": 9, "label": "no"},
    ]
    content = {"version": 1, "type": "structured-labels", "structuredLabels": {"anna_1.wav": stretches}}
    put(folder, "structured_labels.labels", content)
    dataset = import_(folder, output=tmp_path / "d")
    assert {(r.label, r.group, len(dataset.read(r).samples)) for r in dataset.recordings} == {
        ("yes", "anna", 4),
        ("no", "anna", 6),
    }
    stretches[1]["endIndex"] = 10
    put(folder, "structured_labels.labels", content)
    with pytest.raises(DatasetError, match=r"anna_1\.wav: expected an endIndex below 10, found 10"):
        import_(folder, output=tmp_path / "e")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("info.labels", b"{", "cannot be read"),
        ("info.labels", {"files": 3}, "files: expected a list"),
        ("info.labels", {"files": [{}]}, r"files\[0\]: expected an object with a path"),
        ("info.labels", {"files": [{"path": "x", "label": {"type": "?"}}]}, r"files\[0\]: label"),
        ("structured_labels.labels", {"structuredLabels": []}, "structuredLabels"),
        (
            "structured_labels.labels",
            {"structuredLabels": {"a.1.json": [{"startIndex": 3}]}},
            r"a\.1\.json: expected",
        ),
    ],
)
def test_malformed_labels_name_the_place(tmp_path: Path, name: str, content: Any, message: str) -> None:
    put(tmp_path, "raw/a.1.json", acquisition())
    put(tmp_path, f"raw/{name}", content)
    with pytest.raises(DatasetError, match=message) as caught:
        import_(tmp_path / "raw", output=tmp_path / "d")
    assert name in str(caught.value)


# --- UCI-HAR


@pytest.fixture
def har(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    """Two sides of two people; each recording cut into windows of 8 that overlap by half."""
    wholes = [RNG.normal(size=(24, 2)).round(4) for _ in range(4)]
    for side, own, subject in (("train", wholes[:2], 1), ("test", wholes[2:], 2)):
        folder = tmp_path / "har" / side / "Inertial Signals"
        folder.mkdir(parents=True)
        windows = [whole[start : start + 8] for whole in own for start in range(0, 17, 4)]
        for channel, name in enumerate(("acc_x", "acc_y")):
            rows = [" ".join(f"{value:.4f}" for value in window[:, channel]) for window in windows]
            (folder / f"{name}_{side}.txt").write_text("\n".join(rows) + "\n")
        (folder.parent / f"y_{side}.txt").write_text("1\n" * 5 + "2\n" * 5)
        (folder.parent / f"subject_{side}.txt").write_text(f"{subject}\n" * 10)
    (tmp_path / "har/activity_labels.txt").write_text("1 WALKING\n2 STANDING\n")
    return tmp_path / "har", wholes


def test_windows_of_uci_har_become_the_recordings_they_were_cut_from(
    tmp_path: Path, har: tuple[Path, list[np.ndarray]]
) -> None:
    folder, wholes = har
    dataset = import_(folder, output=tmp_path / "d", rate_hz=50)
    assert dataset.labels == ("STANDING", "WALKING")
    assert [channel.name for channel in dataset.channels] == ["acc_x", "acc_y"]
    found = {(r.group, r.label): (r.split, dataset.read(r).samples) for r in dataset.recordings}
    assert {key: side for key, (side, _) in found.items()} == {
        ("1", "WALKING"): "train",
        ("1", "STANDING"): "train",
        ("2", "WALKING"): "test",
        ("2", "STANDING"): "test",
    }
    for key, whole in zip((("1", "WALKING"), ("1", "STANDING"), ("2", "WALKING")), wholes, strict=False):
        np.testing.assert_allclose(found[key][1], whole, atol=1e-6)
    assert dataset.split(0, validation=0).test == ("2",)


def test_windows_that_do_not_continue_stay_apart(tmp_path: Path, har: tuple[Path, list[np.ndarray]]) -> None:
    folder, _ = har
    path = folder / "train/Inertial Signals/acc_x_train.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[9], *lines[3:]]))
    dataset = import_(folder, output=tmp_path / "d", rate_hz=50)
    lengths = sorted(len(dataset.read(r).samples) for r in dataset.recordings if r.group == "1")
    assert lengths == [8, 12, 12, 24]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train/y_train.txt", "1\n2\n", r"acc_x_train\.txt: lines: expected 2 windows"),
        ("train/y_train.txt", "1.5\n" * 10, "one whole number a line"),
        ("train/subject_train.txt", "1\n", r"subject_train\.txt: lines: expected 10, found 1"),
        ("train/Inertial Signals/acc_x_train.txt", "1 2\n3\n", r"acc_x_train\.txt: malformed"),
        ("train/Inertial Signals/acc_y_train.txt", "1 2 x\n", r"acc_y_train\.txt: malformed.*'x'"),
        ("activity_labels.txt", "WALKING\n", r"activity_labels\.txt: line 1"),
    ],
)
def test_malformed_text_names_file_and_place(
    tmp_path: Path, har: tuple[Path, list[np.ndarray]], name: str, content: str, message: str
) -> None:
    (har[0] / name).write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        import_(har[0], output=tmp_path / "d", rate_hz=50)
    assert "\n" not in str(caught.value)


def test_text_without_a_rate_asks_for_it(tmp_path: Path, har: tuple[Path, list[np.ndarray]]) -> None:
    with pytest.raises(DatasetError, match="no rate.*--rate-hz"):
        import_(har[0], output=tmp_path / "d")


# --- images


def picture(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    pillow.fromarray(pixels).convert(mode).save(path, **how)


def test_images_of_all_formats_become_png_of_one_size_and_colour(tmp_path: Path) -> None:
    for suffix, size, mode in (
        ("jpg", (6, 4), "RGB"),
        ("webp", (9, 9), "RGB"),
        ("bmp", (5, 7), "L"),
        ("png", (6, 6), "P"),
    ):
        picture(tmp_path / f"raw/cat/cam_{suffix}.{suffix}", size, mode)
    with pytest.raises(DatasetError, match=r"bring all to one with --colour|size: expected .*--size"):
        import_(tmp_path / "raw", output=tmp_path / "d")
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", size=(8, 10), colour="gray")
    assert dataset.layout == "HWC"
    assert dataset.channels == (Channel("gray", "", (0.0, 255.0)),)
    assert {dataset.read(r).samples.shape for r in dataset.recordings} == {(8, 10, 1)}
    assert {Path(r.file).suffix for r in dataset.recordings} == {".png"}
    rgb = import_(tmp_path / "raw", output=tmp_path / "e", size=(4, 4), colour="rgb")
    assert {rgb.read(r).samples.shape for r in rgb.recordings} == {(4, 4, 3)}


def test_sizes_that_differ_ask_for_one(tmp_path: Path) -> None:
    picture(tmp_path / "raw/cat/cam_1.jpg", (6, 4))
    picture(tmp_path / "raw/cat/cam_2.jpg", (6, 5))
    with pytest.raises(DatasetError, match=r"cam_2\.jpg: size: expected 4×6, found 5×6; .*--size 4x6"):
        import_(tmp_path / "raw", output=tmp_path / "d")


def test_a_picture_is_turned_as_its_camera_was_held(tmp_path: Path) -> None:
    image = pillow.new("RGB", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    (tmp_path / "raw/cat").mkdir(parents=True)
    image.save(tmp_path / "raw/cat/cam_1.jpg", exif=exif)
    dataset = import_(tmp_path / "raw", output=tmp_path / "d")
    assert dataset.read(dataset.recordings[0]).samples.shape == (6, 4, 3)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    (tmp_path / "raw/sky").mkdir(parents=True)
    pillow.fromarray(np.full((4, 4), 0x8080, np.uint16)).save(tmp_path / "raw/sky/cam_1.png")
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", size=(2, 2))
    assert dataset.read(dataset.recordings[0]).samples.ravel().tolist() == [128] * 4


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp"])
def test_damaged_images_are_refused(tmp_path: Path, suffix: str) -> None:
    picture(tmp_path / f"raw/cat/cam_1.{suffix}", (40, 40))
    path = tmp_path / f"raw/cat/cam_1.{suffix}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(DatasetError, match=rf"cam_1\.{suffix}: malformed \.{suffix}"):
        import_(tmp_path / "raw", output=tmp_path / "d")


# --- sound


def sound(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def test_stereo_and_mono_are_mixed_where_asked_for(tmp_path: Path) -> None:
    sound(tmp_path / "raw/yes/anna_1.wav", np.array([[0.5, -0.5], [0.5, 0.25]]))
    sound(tmp_path / "raw/yes/bob_1.wav", np.array([[0.5], [0.25]]))
    with pytest.raises(DatasetError, match=r"bob_1\.wav: channels: expected ch1, ch2.*--mono"):
        import_(tmp_path / "raw", output=tmp_path / "d")
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", mono=True)
    assert dataset.channels == (Channel("audio", "", (-1.0, 1.0)),)
    np.testing.assert_allclose(dataset.read(dataset.recordings[0]).samples, [[0], [0.375]], atol=1e-4)
    assert Path(dataset.recordings[1].file).suffix == ".wav"  # as it was


def test_other_rates_are_resampled_where_asked_for(tmp_path: Path) -> None:
    for name, rate in (("anna", 8000), ("bob", 44100)):
        time_s = np.arange(rate) / rate
        sound(tmp_path / f"raw/yes/{name}_1.wav", 0.5 * np.sin(2 * np.pi * 440 * time_s)[:, None], rate)
    with pytest.raises(DatasetError, match=r"bob_1\.wav: recorded at another rate.*--resample"):
        import_(tmp_path / "raw", output=tmp_path / "d")
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", resample=True)
    anna, bob = (dataset.read(recording).samples[:, 0] for recording in dataset.recordings)
    assert dataset.rate_hz == 8000
    assert len(bob) == 8000
    np.testing.assert_allclose(bob[100:-100], anna[100:-100], atol=2e-3)


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_signals_are_written_as_asked_for(tmp_path: Path, kind: Any) -> None:
    samples = RNG.normal(size=(20, 2)).astype(np.float32)
    (tmp_path / "raw/on").mkdir(parents=True)
    write(tmp_path / "raw/on/m_1.csv", Signal(samples, 10.0, ("x", "y")))
    dataset = import_(tmp_path / "raw", output=tmp_path / "d", kind=kind)
    assert Path(dataset.recordings[0].file).suffix == f".{kind}"
    np.testing.assert_allclose(dataset.read(dataset.recordings[0]).samples, samples, rtol=1e-6)
    assert dataset.rate_hz == 10


# --- names


def test_equal_names_get_numbers_and_ids_keep_groups_whole(tmp_path: Path) -> None:
    for side in ("a", "b"):
        put(tmp_path, f"raw/{side}/idle.sample_1.json", acquisition())
    dataset = import_(tmp_path / "raw", output=tmp_path / "d")
    assert [r.file for r in dataset.recordings] == [
        "recordings/idle/ac:87:a3_sample-1-2.csv",
        "recordings/idle/ac:87:a3_sample-1.csv",
    ]
    assert dataset.groups == ("ac:87:a3",)


def test_a_name_that_no_file_can_have_is_changed_and_noted(tmp_path: Path) -> None:
    put(tmp_path, "raw/a.json", acquisition())
    result = imported(tmp_path / "raw", output=tmp_path / "d", label="T-shirt/top", group="hall 3/left")
    assert result.dataset.recordings[0].file == "recordings/T-shirt-top/hall 3-left_a.csv"
    assert result.notes[0] == "label 'T-shirt/top' is written as 'T-shirt-top': no file can be called so"
    for name in (" ", ".hidden", "a\x1b[2J"):
        with pytest.raises(DatasetError, match=r"a\.json: group: expected a name that a file may have"):
            import_(tmp_path / "raw", output=tmp_path / "e", group=name)


def test_a_clock_that_became_a_channel_is_noted(tmp_path: Path) -> None:
    (tmp_path / "raw/on").mkdir(parents=True)
    (tmp_path / "raw/on/m_1.csv").write_text("timestamp,x\n" + "\n".join(f"{n * 20},{n}" for n in range(50)))
    result = imported(tmp_path / "raw", output=tmp_path / "d", rate_hz=50)
    assert "--time-column timestamp:s" in result.notes[0]


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "raw/idle.1.json", acquisition())
    paths, _ = find([tmp_path / "raw"])
    path.unlink()
    with pytest.raises(DatasetError, match=r"idle\.1\.json: cannot be read: found No such file"):
        run(Request(sources=[tmp_path / "raw"], output=tmp_path / "d"), paths)


@pytest.mark.parametrize("make", [lambda p: (p / "sub").mkdir(), lambda p: (p / "x.txt").write_text("")])
def test_a_folder_without_recordings_says_what_would_be_one(
    tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    make(tmp_path)
    with pytest.raises(DatasetError, match=r"no recordings: expected files that end in \.csv.*\.jpg.*\.cbor"):
        find([tmp_path])
