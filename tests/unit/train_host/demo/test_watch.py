from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import DatasetError, MissingExtraError
from train_host.demo import watch

NAMES = ["ax", "ay", "az", "wx", "wy", "wz"]
LABELS = ["PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"]


def pack(path: Path, content: object) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def small() -> dict[str, object]:
    samples = np.empty(2, dtype=object)
    samples[0], samples[1] = np.ones((5, 6)), np.zeros((7, 6))
    subjects, sides = np.array([1, 10], float), np.array([1, 0], float)
    return {
        "X": samples,
        "y": np.array([2, 6]),
        "subject": subjects,
        "side": sides,
        "X_labels": NAMES,
        "y_labels": LABELS,
    }


def test_a_pickle_of_arrays_is_read(tmp_path: Path) -> None:
    first, second = watch.recordings(pack(tmp_path / "w.npy", small()))
    assert (first.label, first.group, first.id) == ("FEL", "s01", "right")
    assert (second.label, second.group, second.id) == ("ROW", "s10", "left")
    assert first.content.samples.dtype == np.float32  # type: ignore[union-attr]
    assert second.content.samples.shape == (7, 6)  # type: ignore[union-attr]


class Harm:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> object:
        return self.call


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (os.system, "touch {harm}"),
        (eval, "open({harm!r}, 'w')"),
        (exec, "open({harm!r}, 'w')"),
        (subprocess.check_call, ["touch", "{harm}"]),
        (np.fromfile, "{harm}"),
        (__import__, "antigravity"),
        (getattr, os),
    ],
)
def test_a_pickle_that_runs_code_is_refused_before_it_runs(
    tmp_path: Path, function: object, argument: object
) -> None:
    harm = tmp_path / "harm"
    if isinstance(argument, str):
        argument = argument.format(harm=str(harm))
    elif isinstance(argument, list):
        argument = [part.format(harm=str(harm)) for part in argument]
    content = (
        {**small(), "y": Harm(function, argument)} if argument is not os else {"X": Harm(getattr, "os", "x")}
    )
    path = pack(tmp_path / "w.npy", content)
    with pytest.raises(DatasetError, match=r"not the watch set.*is not part of a numpy array"):
        list(watch.recordings(path))
    assert not harm.exists()


def test_a_protocol_zero_pickle_that_names_a_nested_function_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path = tmp_path / "w.npy"
    for text in (
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\nsave\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.",
    ):
        path.write_bytes(header.getvalue() + text)
        with pytest.raises(DatasetError, match="is not part of a numpy array"):
            list(watch.recordings(path))


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", pickle.dumps({"X": 1}), b"\x93NUMPY\x01\x00v\x00" + b"x" * 200],
)
def test_garbage_is_no_watch_set(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.npy"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not the watch set"):
        list(watch.recordings(path))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "w.npy", small()).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "t.npy").write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="not the watch set"):
            list(watch.recordings(tmp_path / "t.npy"))


def test_arrays_that_are_something_else_are_no_watch_set(tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.zeros(3))
    with pytest.raises(DatasetError, match="an array of float64"):
        list(watch.recordings(tmp_path / "n.npy"))
    for wrong in ({"X": 1}, [1], {**small(), "X_labels": ["a"]}, {**small(), "y": np.array([1])}):
        with pytest.raises(DatasetError, match="not the watch set"):
            list(watch.recordings(pack(tmp_path / "w.npy", wrong)))


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"edgeml-kit\[demo\]"):
        watch.find()


def test_the_installed_set_is_what_its_description_says() -> None:
    try:
        watch.find()
    except MissingExtraError as error:
        pytest.skip(str(error))
    recordings = list(watch.recordings())
    assert len(recordings) == 140
    assert {r.group for r in recordings} == {f"s{n:02d}" for n in range(1, 11)}
    assert {r.label for r in recordings} == set(LABELS)
    assert len({(r.label, r.group, r.id) for r in recordings}) == 140
    lengths = [len(r.content.samples) for r in recordings]  # type: ignore[union-attr]
    assert (min(lengths), max(lengths)) == (947, 2618)
    assert "seglearn" not in sys.modules
    facts = watch.facts()
    assert [channel.unit for channel in facts.channels] == ["g"] * 3 + ["rad/s"] * 3
    assert "BSD-3" in facts.licence
    assert "not documented" in facts.source
