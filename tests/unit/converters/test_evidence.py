import os
from pathlib import Path

import numpy as np
import pytest

from converters import evidence
from edge_sdk.errors import DatasetError
from edge_sdk.graph import Graph
from tests.unit.converters.graphs import Builder, tensor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 8, 3)).astype(np.float32)
Y = np.repeat(np.arange(3), 20)


def graph(*shapes: tuple[int, ...]) -> Graph:
    found = Builder((1, 8, 3)).graph(0)
    for i, shape in enumerate(shapes, start=1):
        found.tensors.append(tensor(i, f"input{i}", shape))
        found.inputs.append(i)
    return found


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


def test_representative_inputs_are_stratified_and_repeatable() -> None:
    labels = np.array([0] * 500 + [1] * 30 + [2] * 5)
    chosen = evidence.choose(labels, 100, 3)
    assert np.bincount(labels[chosen]).tolist() == [65, 30, 5]
    assert chosen.tolist() == evidence.choose(labels, 100, 3).tolist()
    assert chosen.tolist() != evidence.choose(labels, 100, 4).tolist()
    assert len(set(chosen.tolist())) == 100
    assert len(evidence.choose(labels, 10_000, 3)) == 535


def test_half_judges_and_none_of_it_calibrates(tmp_path: Path) -> None:
    found = evidence.from_npz(saved(tmp_path, x=X, y=Y), graph(), ["x"], 12)
    assert found.calibration is not None
    assert found.labels is not None
    assert (len(found), len(found.calibration[0])) == (30, 12)
    assert np.bincount(found.labels).tolist() == [10, 10, 10]
    assert found.counts == (("0", 4), ("1", 4), ("2", 4))
    judging = {row.tobytes() for row in found.inputs[0]}
    assert not any(row.tobytes() in judging for row in found.calibration[0])
    again = evidence.from_npz(saved(tmp_path, x=X, y=Y), graph(), ["x"], 12)
    assert np.array_equal(again.inputs[0], found.inputs[0])


def test_whole_groups_judge(tmp_path: Path) -> None:
    groups = np.array(["a", "b", "c"] * 20)
    found = evidence.from_npz(saved(tmp_path, x=X, labels=Y, groups=groups), graph(), ["x"], 12)
    assert found.groups is not None
    assert len(set(found.groups)) == 2
    assert "2 of 3 groups" in found.basis


def test_the_file_may_say_what_calibrates(tmp_path: Path) -> None:
    chosen = np.arange(60) < 10
    found = evidence.from_npz(saved(tmp_path, x=X, calibration=chosen), graph(), ["x"], 50)
    assert found.calibration is not None
    assert np.array_equal(found.calibration[0], X[:10])
    assert found.labels is None
    assert found.counts == ()


def test_several_inputs_are_found_by_name_and_shaped_to_fit(tmp_path: Path) -> None:
    level = RNG.normal(size=60).astype(np.float64)
    found = evidence.from_npz(
        saved(tmp_path, level=level, motion=X), graph((1, 1)), ["motion", "level:0"], 12
    )
    assert [array.shape[1:] for array in found.inputs] == [(8, 3), (1,)]
    assert {array.dtype.name for array in found.inputs} == {"float32"}


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"z": X}, r"input 'x' is missing: expected an array named 'x' or 'x', found z"),
        ({"x": X[:, :4]}, r"expected float32 \[n, 8, 3\], found float32 \[60, 4, 3\]"),
        ({"x": np.array(["a", "b"])}, "expected numbers"),
        ({"x": np.float32(3)}, "expected numbers"),
        ({"x": X[:1]}, "at least 2"),
        ({"x": np.where(X > 2, np.nan, X)}, "found NaN or infinity"),
        ({"x": X, "y": Y[:9]}, "expected 60, one for each sample, found 9"),
        ({"x": X, "y": Y / 2}, "expected integers from 0, found float64"),
        ({"x": X, "calibration": np.zeros(60, bool)}, "some to judge and some to calibrate"),
        ({"x": np.empty((0, 8, 3), np.float32)}, "at least 2"),
        ({"x": np.array([{}], dtype=object)}, "not a usable .npz"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, arrays: dict[str, object], complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint) as raised:
        evidence.from_npz(saved(tmp_path, **arrays), graph(), ["x"], 12)
    assert "\n" not in str(raised.value)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    file = saved(tmp_path, x=X, y=Y)
    data = file.read_bytes()
    for cut in (b"", b"PK", data[: len(data) // 2], b"\x80\x04pickle"):
        file.write_bytes(cut)
        with pytest.raises(DatasetError, match="not a usable .npz"):
            evidence.from_npz(file, graph(), ["x"], 12)
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DatasetError, match="not a usable .npz"):
        evidence.from_npz(tmp_path / "one.npy", graph(), ["x"], 12)


def test_random_inputs_are_the_same_each_time() -> None:
    first, again = evidence.random(graph((1, 2))), evidence.random(graph((1, 2)))
    assert [array.shape for array in first.inputs] == [(64, 8, 3), (64, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(first.inputs, again.inputs, strict=True))
    assert first.calibration is None


def test_a_file_that_claims_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((1000, 8, 3), np.float32))
    monkeypatch.setattr(evidence, "_MOST_BYTES", 50_000)
    with pytest.raises(DatasetError, match="is too large"):
        evidence.from_npz(tmp_path / "bomb.npz", graph(), ["x"], 12)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"labels": -Y}, "integers from 0, found -2 to 0"),
        ({"labels": np.full(60, (1 << 64) - 1, np.uint64)}, "found 18446744073709551615"),
        ({"labels": np.zeros((60, 0), int)}, r"an array \[60, 0\]"),
        ({"groups": np.zeros((60, 2), int)}, r"groups: expected 60, one for each sample, found an array"),
        ({"calibration": np.ones((60, 2), bool)}, "calibration: expected 60, one for each sample"),
        ({"x": np.full((60, 8, 3), 1e300)}, "expected finite numbers"),
    ],
)
def test_arrays_that_would_be_read_as_something_else(
    tmp_path: Path, arrays: dict[str, object], says: str
) -> None:
    with pytest.raises(DatasetError, match=says):
        evidence.from_npz(saved(tmp_path, **{"x": X, **arrays}), graph(), ["x"], 10)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.npz")
    with pytest.raises(DatasetError, match="no such file"):
        evidence.from_npz(tmp_path / "data.npz", graph(), ["x"], 10)


def test_large_inputs_are_fewer() -> None:
    assert len(evidence.random(graph())) == evidence.RANDOM_INPUTS
    large = Builder((1, 1 << 22))
    assert len(evidence.random(large.graph(large.op("RELU", [0], (1, 1 << 22))))) == 8
