from __future__ import annotations

import io
import os
import struct
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk import recordings
from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal, read, write

RNG = np.random.default_rng(3)


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def wav(path: Path, bits: int, frames: np.ndarray, rate: int = 8000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(frames.tobytes())
    return path


# --- CSV


def test_a_csv_gives_names_samples_and_the_rate_of_its_time_column(tmp_path: Path) -> None:
    signal = read(put(tmp_path / "a.csv", "time_s,ax,ay\n0,1,2\n0.02,3,4\n0.04,5,6.5\n"))
    assert signal.channels == ("ax", "ay")
    assert signal.samples.dtype == np.float32
    assert signal.samples.tolist() == [[1, 2], [3, 4], [5, 6.5]]
    assert signal.rate_hz == pytest.approx(50)
    assert signal.time_s is not None
    assert signal.time_s.tolist() == [0, 0.02, 0.04]
    assert signal.duration_s == pytest.approx(0.06)


def test_the_rate_survives_a_lost_sample_and_other_units_of_time(tmp_path: Path) -> None:
    rows = [f"{t},1" for t in range(0, 200, 10) if t != 50]
    signal = read(put(tmp_path / "a.csv", "time_ms,x\n" + "\n".join(rows)))
    assert signal.rate_hz == pytest.approx(100)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_line_ends_and_a_byte_order_mark_do_not_matter(
    tmp_path: Path, separator: str, end: str
) -> None:
    text = end.join(
        [separator.join(["a", '"b"']), separator.join(["1", "2"]), separator.join(["3", "-4e-1"]), ""]
    )
    signal = read(put(tmp_path / "a.csv", b"\xef\xbb\xbf" + text.encode()))
    assert signal.channels == ("a", "b")
    np.testing.assert_array_equal(signal.samples, np.float32([[1, 2], [3, -0.4]]))
    assert signal.rate_hz is None


def test_a_csv_without_header_takes_the_names_it_is_given(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "1,2\n3,4\n")
    assert read(path, ["x", "y"]).samples.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DatasetError, match=r"a\.csv: line 1: no header.*add a header line"):
        read(path)
    with pytest.raises(DatasetError, match="expected 3 columns"):
        read(path, ["x", "y", "z"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("ax,ay\n", "no samples below the header"),
        ("ax,ay\n\n \n", "no samples below the header"),
        ("ax,ay\n1,2\n3\n", r"line 3: expected 2 columns, found 1; the file may be truncated"),
        ("ax,ay\n1,2\n\n3,four\n", r"line 4: expected a number, found 'four'"),
        ("ax,ay\n1,2\n3,\n", r"line 3: expected a number, found ''; write nan where"),
        ("ax,ay\n1,2,3\n4,5,6\n", r"line 2: expected 2 columns, found 3"),
        ("ax,ax\n1,2\n", "'ax' twice"),
        ("ax,,az\n1,2,3\n", "a name for every channel"),
        ("time_s,ax\n0,1\n0.1,1\n0.05,1\n", "line 4: time goes backwards"),
        ("time_s,ax\n0,1\nnan,1\n0.05,1\n", "line 3: time goes backwards or is no number"),
        ("time_s\n0\n1\n", "at least one channel"),
        ("time_s,time_ms,x\n0,1,2\n", "one time column at most"),
        ("a,b\n1,2\x00\n", "a NUL byte"),
        (b"a,b\n\xff\xfe1,2\n", "expected UTF-8 CSV"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "expected UTF-8 CSV"),
    ],
)
def test_a_malformed_csv_names_file_line_and_fault(tmp_path: Path, text: bytes | str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read(put(tmp_path / "walk.csv", text))
    assert "walk.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_and_too_large_numbers_are_read_for_the_check_to_find(tmp_path: Path) -> None:
    samples = read(put(tmp_path / "a.csv", "x,y\nnan,1e300\n1,inf\n")).samples
    assert np.isnan(samples[0, 0])
    assert np.isinf(samples[:, 1]).all()


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=40))
def test_every_float32_survives_a_csv(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    samples = np.float32(values)[:, None]
    write(path, Signal(samples, 100.0, ("x",)))
    back = read(path)
    np.testing.assert_array_equal(back.samples, samples)
    assert back.rate_hz == pytest.approx(100)


# --- npz


def test_an_npz_keeps_samples_rate_and_names(tmp_path: Path) -> None:
    samples = RNG.normal(size=(30, 3)).astype(np.float32)
    write(tmp_path / "a.npz", Signal(samples, 62.5, ("x", "y", "z")))
    back = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.samples, samples)
    assert (back.rate_hz, back.channels) == (62.5, ("x", "y", "z"))


def test_an_npz_of_integers_in_one_dimension_is_one_channel(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", samples=np.arange(5, dtype=np.int16))
    signal = read(tmp_path / "a.npz")
    assert signal.samples.tolist() == [[0], [1], [2], [3], [4]]
    assert (signal.rate_hz, signal.channels) == (None, ())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x": np.zeros(3)}, "no array 'samples'"),
        ({"samples": np.array(["a"])}, "expected numbers"),
        ({"samples": np.zeros((2, 2), complex)}, "expected numbers"),
        ({"samples": np.zeros((0, 3))}, "at least one sample"),
        ({"samples": np.zeros((2, 2, 2))}, r"expected \[n, channels\]"),
        ({"samples": np.zeros((4, 2)), "rate_hz": -5.0}, "one positive number"),
        ({"samples": np.zeros((4, 2)), "rate_hz": np.nan}, "one positive number"),
        ({"samples": np.zeros((4, 2)), "rate_hz": np.array([1.0, 2.0])}, "one positive number"),
        ({"samples": np.zeros((4, 2)), "channels": np.array(["a"])}, "expected 2 names"),
        ({"samples": np.zeros((4, 2)), "channels": np.array(["a", "a"])}, "'a' twice"),
        ({"samples": np.zeros((4, 2)), "channels": np.array([1, 2])}, "expected text"),
    ],
)
def test_an_npz_with_wrong_fields_is_refused(tmp_path: Path, fields: dict, message: str) -> None:
    np.savez(tmp_path / "walk.npz", **fields)
    with pytest.raises(DatasetError, match=message) as caught:
        read(tmp_path / "walk.npz")
    assert "walk.npz" in str(caught.value)


class Bomb:
    fired = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (setattr, (Bomb, "fired", True))


def test_a_pickle_in_an_npz_is_never_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", samples=np.array([Bomb()], dtype=object))
    Bomb.fired = False
    with pytest.raises(DatasetError, match="allow_pickle"):
        read(tmp_path / "a.npz")
    assert not Bomb.fired


def test_an_npz_that_unpacks_to_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", samples=np.zeros((100_000, 2)))
    monkeypatch.setattr(recordings.npz, "MAX_BYTES", 1_000_000)
    with pytest.raises(DatasetError, match="too large"):
        read(tmp_path / "a.npz")


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 400)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("samples.npy", array.getvalue() + b"\0" * 64)
    with pytest.raises(DatasetError, match=r"a\.npz"):
        read(tmp_path / "a.npz")


# --- wav


@pytest.mark.parametrize(
    ("bits", "raw", "expected"),
    [
        (8, np.uint8([0, 128, 192]), [-1, 0, 0.5]),
        (16, np.int16([-32768, 0, 16384]), [-1, 0, 0.5]),
        (24, np.uint8([0, 0, 0x80, 0, 0, 0, 0, 0, 0x40]), [-1, 0, 0.5]),
        (32, np.int32([-(2**31), 0, 2**30]), [-1, 0, 0.5]),
    ],
)
def test_pcm_of_every_width_becomes_float_between_minus_one_and_one(
    tmp_path: Path, bits: int, raw: np.ndarray, expected: list[float]
) -> None:
    signal = read(wav(tmp_path / "a.wav", bits, raw, rate=16000))
    assert signal.samples.dtype == np.float32
    assert signal.samples.ravel().tolist() == expected
    assert (signal.rate_hz, signal.channels) == (16000, ())


def test_stereo_gives_two_columns(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", 16, np.int16([1, -1, 2, -2]), channels=2)
    np.testing.assert_array_equal(read(path).samples * 32768, [[1, -1], [2, -2]])


def riff(coding: int, bits: int, data: bytes, extra: bytes = b"", extended: bool = False) -> bytes:
    form = struct.pack("<HHIIHH", 0xFFFE if extended else coding, 1, 8000, 8000 * bits // 8, bits // 8, bits)
    if extended:
        form += struct.pack(
            "<HHIH14s", 22, bits, 4, coding, b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
        )
    chunks = (
        extra + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    )
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def test_extensible_headers_float_samples_and_unknown_chunks_are_read(tmp_path: Path) -> None:
    extended = put(tmp_path / "a.wav", riff(1, 24, b"\0\0\x40", extended=True))
    assert read(extended).samples.tolist() == [[0.5]]
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    floats = put(tmp_path / "b.wav", riff(3, 32, np.float32([0.25]).tobytes(), extra=odd))
    assert read(floats).samples.tolist() == [[0.25]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF", "not a wav file"),
        (b"not a wav file at all", "not a wav file"),
        (riff(1, 16, b""), "at least one"),
        (riff(1, 16, b"abc"), "multiple of 2"),
        (riff(2, 4, b"abcd"), "coding"),
        (riff(1, 16, b"abcd")[:-2], "truncated"),
        (riff(1, 16, b"abcd")[:30], "truncated"),
        (riff(1, 16, b"abcd")[:12], "truncated"),
        (riff(1, 16, b"abcd").replace(struct.pack("<I", 8000), struct.pack("<I", 0), 1), "a rate"),
    ],
)
def test_a_malformed_wav_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read(put(tmp_path / "walk.wav", content))
    assert "walk.wav" in str(caught.value)


# --- png


@pytest.mark.parametrize(("channels", "names"), [(1, ("gray",)), (3, ("r", "g", "b"))])
def test_a_png_is_one_window_of_height_width_and_channels(
    tmp_path: Path, channels: int, names: tuple
) -> None:
    pixels = RNG.integers(0, 256, (5, 7, channels)).astype(np.float32)
    write(tmp_path / "a.png", Signal(pixels, None, names))
    signal = read(tmp_path / "a.png")
    assert signal.is_image
    assert signal.duration_s is None
    assert signal.channels == names
    np.testing.assert_array_equal(signal.samples, pixels)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("P", 3), ("RGBA", 3), ("LA", 1), ("I;16", 1)])
def test_every_kind_of_png_becomes_gray_or_rgb(tmp_path: Path, mode: str, channels: int) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install 'edgeml-kit[image]'")
    picture = image.new(mode, (4, 3), 65535 if mode == "I;16" else 1 if mode == "1" else 0)
    picture.save(tmp_path / "a.png")
    samples = read(tmp_path / "a.png").samples
    assert samples.shape == (3, 4, channels)
    if mode in {"1", "I;16"}:
        assert (samples == 255).all()


# --- any file


def samples_of_every_kind(folder: Path) -> list[Path]:
    wave_file = wav(folder / "a.wav", 16, np.arange(200, dtype=np.int16))
    write(folder / "a.npz", Signal(RNG.normal(size=(40, 2)).astype(np.float32), 50.0, ("x", "y")))
    write(folder / "a.csv", Signal(RNG.normal(size=(40, 2)).astype(np.float32), 50.0, ("x", "y")))
    write(folder / "a.png", Signal(RNG.integers(0, 256, (6, 6, 3)).astype(np.float32), None, ("r", "g", "b")))
    return [wave_file, folder / "a.npz", folder / "a.csv", folder / "a.png"]


def test_damaged_files_give_a_dataset_error_and_nothing_else(tmp_path: Path) -> None:
    refused = 0
    for whole in samples_of_every_kind(tmp_path):
        content = whole.read_bytes()
        for trial in range(150):
            damaged = bytearray(content)
            if trial % 3 == 0:
                damaged = damaged[: int(RNG.integers(0, len(content)))]
            for _ in range(1 + trial % 5):
                if damaged:
                    damaged[int(RNG.integers(0, len(damaged)))] = int(RNG.integers(0, 256))
            path = put(tmp_path / f"damaged{whole.suffix}", bytes(damaged))
            try:
                signal = read(path)
            except DatasetError as error:
                refused += 1
                assert "damaged" in str(error)  # noqa: PT017 - a damaged file may also still be readable
            else:
                assert signal.samples.size
    assert refused > 150


@pytest.mark.parametrize("suffix", recordings.SUFFIXES)
def test_empty_garbage_and_missing_files_are_refused(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pip install 'edgeml-kit[data]'")
    with pytest.raises(DatasetError, match="empty"):
        read(put(tmp_path / f"empty{suffix}", b""))
    with pytest.raises(DatasetError, match="garbage"):
        read(put(tmp_path / f"garbage{suffix}", RNG.bytes(3000)))
    with pytest.raises(DatasetError, match="cannot be read"):
        read(tmp_path / f"absent{suffix}")


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not a kind of recording.*\.csv \.npz \.wav \.png.*\.mp3"):
        read(put(tmp_path / "a.mp3", b"x"))
    with pytest.raises(DatasetError, match="cannot write a signal here"):
        write(tmp_path / "a.png", Signal(np.zeros((3, 1), np.float32)))
    with pytest.raises(DatasetError, match="cannot write an image here"):
        write(tmp_path / "a.csv", Signal(np.zeros((3, 3, 1), np.float32)))


def test_a_file_that_claims_any_size_is_not_read(tmp_path):
    path = tmp_path / "sparse.csv"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(DatasetError, match=r"too large.*1,099,511,627,776"):
        recordings.read(path)
