from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal, parquet, read, write
from tests.folders import motion

arrow = pytest.importorskip("pyarrow", reason="pip install 'edgeml-kit[data]'")
import pyarrow.parquet  # noqa: E402

RNG = np.random.default_rng(3)


def put(path: Path, **columns: object) -> Path:
    pyarrow.parquet.write_table(arrow.table(columns), path)
    return path


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    samples = RNG.normal(size=(30, 3)).astype(np.float32)
    write(tmp_path / "a.parquet", Signal(samples, 62.5, ("x", "y", "z")))
    back = read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(back.samples, samples)
    assert (back.rate_hz, back.channels, back.time_s) == (62.5, ("x", "y", "z"), None)
    assert read(tmp_path / "a.parquet", ["z", "x"]).channels == ("x", "z")


def test_a_time_column_shows_the_rate_whatever_its_unit(tmp_path: Path) -> None:
    stamps = np.datetime64("2026-03-01T10:00:00") + np.arange(5) * np.timedelta64(20, "ms")
    for name, values in (
        ("time_s", np.arange(5) / 50),
        ("time_ms", np.arange(5) * 20),
        ("when", stamps),
        ("since", np.arange(5) * np.timedelta64(20, "ms")),
    ):
        signal = read(put(tmp_path / "a.parquet", **{name: values, "x": np.arange(5)}))
        assert signal.rate_hz == pytest.approx(50), name
        assert signal.channels == ("x",)
        assert signal.time_s is not None
        assert signal.time_s.tolist() == pytest.approx([0, 0.02, 0.04, 0.06, 0.08])


def test_whole_numbers_switches_and_missing_values_are_numbers(tmp_path: Path) -> None:
    path = put(tmp_path / "a.parquet", n=[1, None, 3], on=[True, False, True], half=np.float16([0.5, 1, 2]))
    samples = read(path).samples
    assert np.isnan(samples[1, 0])
    assert samples[[0, 2]].tolist() == [[1, 1, 0.5], [3, 1, 2]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": ["a", "b"]}, "column 'x': expected numbers, found string; leave it out of channels"),
        ({"x": [[1.0], [2.0]]}, "column 'x': expected numbers"),
        ({"x": arrow.array([], arrow.float32())}, "no samples"),
        ({"time_s": [0.0, 1.0]}, "no samples"),
        ({"time_s": [0.0], "time_ms": [0.0], "x": [1]}, "one time column at most"),
        ({"time_s": [0.0, 1.0, 0.5], "x": [1, 2, 3]}, "row 3: time goes backwards"),
        ({"time_s": [0.0, None, 0.5], "x": [1, 2, 3]}, "row 2: time goes backwards or is no number"),
    ],
)
def test_a_table_that_is_no_recording_is_refused(tmp_path: Path, columns: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read(put(tmp_path / "walk.parquet", **columns))
    assert "walk.parquet" in str(caught.value)


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    table = arrow.table({"x": [1.0]}).replace_schema_metadata({"rate_hz": "fast"})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="rate_hz in the metadata: expected a positive number"):
        read(tmp_path / "a.parquet")


def test_a_few_bytes_that_unpack_to_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.parquet", x=np.zeros(100_000, np.float32))
    assert path.stat().st_size < 5_000
    monkeypatch.setattr(parquet, "MAX_BYTES", 100_000)
    with pytest.raises(DatasetError, match="too large"):
        read(path)


def test_damaged_files_give_a_dataset_error_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", Signal(RNG.normal(size=(40, 2)).astype(np.float32), 50.0, ("x", "y")))
    content = (tmp_path / "a.parquet").read_bytes()
    refused = 0
    for trial in range(150):
        damaged = bytearray(content[: int(RNG.integers(1, len(content)))] if trial % 3 == 0 else content)
        for _ in range(1 + trial % 5):
            damaged[int(RNG.integers(0, len(damaged)))] = int(RNG.integers(0, 256))
        (tmp_path / "damaged.parquet").write_bytes(damaged)
        try:
            read(tmp_path / "damaged.parquet")
        except DatasetError as error:
            refused += 1
            assert "damaged" in str(error)  # noqa: PT017 - a damaged file may also still be readable
    assert refused > 75


def test_a_dataset_folder_holds_them_with_columns_in_any_order_and_more(tmp_path: Path) -> None:
    folder = motion(tmp_path / "d").folder
    original = Dataset.load(folder).read(Dataset.load(folder).recordings[0])
    path = folder / "recordings/rest/p0_1.csv"
    columns = dict(zip("xyz", original.samples.T, strict=True))
    put(
        path.with_suffix(".parquet"),
        **{f"a{k}": columns[k] for k in "zxy"},
        note=["-"] * len(original.samples),
    )
    path.unlink()
    dataset = Dataset.load(folder)
    assert dataset.recordings[0].file == "recordings/rest/p0_1.parquet"
    np.testing.assert_array_equal(dataset.read(dataset.recordings[0]).samples, original.samples)


def test_it_says_what_to_install(tmp_path: Path) -> None:
    put(tmp_path / "a.parquet", x=[1.0])
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from edge_sdk.recordings import read\n"
        "from edge_sdk.errors import MissingExtraError\n"
        "try: read(sys.argv[1])\n"
        "except MissingExtraError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.parquet")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "pip install 'edgeml-kit[data]'" in said
