from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.cli import main
from edge_sdk.dataset import Dataset
from tests.folders import motion


def edgeml(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return motion(tmp_path / "made").folder


def test_import_and_check_print_one_json_object(capsys: Any, folder: Path, tmp_path: Path) -> None:
    code, out, _ = edgeml(capsys, "data", "import", folder / "recordings", "-o", tmp_path / "d", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["recordings"] == 10
    assert facts["digest"] == Dataset.load(tmp_path / "d").digest

    code, out, _ = edgeml(capsys, "data", "check", tmp_path / "d", "--json")
    assert code == 0
    assert json.loads(out)["findings"] == []


def test_import_refuses_to_overwrite_without_force(capsys: Any, folder: Path, tmp_path: Path) -> None:
    arguments = ("data", "import", folder / "recordings", "-o", tmp_path / "d")
    assert edgeml(capsys, *arguments)[0] == 0
    code, out, err = edgeml(capsys, *arguments, "--json")
    assert code == 2
    assert "exists" in json.loads(out)["error"]
    assert "--force" in err.splitlines()[-1]
    assert edgeml(capsys, *arguments, "--force")[0] == 0


def test_check_exits_with_one_on_errors_and_zero_on_warnings(capsys: Any, folder: Path) -> None:
    (folder / "recordings/rest/p0_1.csv").write_text("ax,ay,az\n" + "1,2,nan\n" * 60)
    code, out, _ = edgeml(capsys, "data", "check", folder)
    assert code == 1
    assert out.splitlines()[0].startswith(
        "error    recordings/rest/p0_1.csv: NaN or inf in az (60 of 180 values); "
    )
    assert out.splitlines()[-1] == "1 errors, 2 warnings"
    (folder / "recordings/rest/p0_1.csv").write_text("ax,ay,az\n1,2,3\n")
    code, out, _ = edgeml(capsys, "data", "check", folder, "--json")
    assert code == 0
    assert json.loads(out)["warnings"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-o", "m.keras", "--arch", "resnet"],
            "unknown architecture 'resnet': expected one of ",
        ),
        (["-o", "m.keras", "--arch", "cnn2d"], "made for images"),
        (["-o", "m.h5"], r"suffix: expected .keras, found .h5"),
        (["-o", "absent/m.keras"], "no such folder"),
        (["-o", "m.keras", "--augment", "mixup"], "unknown augmentation 'mixup'"),
        (["-o", "m.keras", "--window", "0"], "window: expected at least 1"),
        (["-o", "m.keras", "--config", "absent.toml"], "cannot be read"),
        (["--folds", "9"], "too few groups for 9 folds by person"),
        ([], "nothing to do: expected -o MODEL.keras"),
    ],
)
def test_what_is_wrong_with_a_training_is_said_before_tensorflow_starts(
    capsys: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("edge_sdk.child.call", lambda *_, **__: pytest.fail("TensorFlow was started"))
    code, _, err = edgeml(capsys, "train", folder, *arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["made"]


def test_train_lists_what_there_is(capsys: Any) -> None:
    code, out, _ = edgeml(capsys, "train", "--list")
    assert code == 0
    assert "cnn1d" in out
    assert "rotation" in out
    assert {"cnn1d", "cnn2d", "ds_cnn"} <= set(
        json.loads(edgeml(capsys, "train", "--list", "--json")[1])["architectures"]
    )


@pytest.mark.parametrize("command", [["train"], ["data"], ["data", "import"], ["data", "check"], ["demo"]])
def test_every_help_ends_with_an_example(capsys: Any, command: list[str]) -> None:
    code, out, _ = edgeml(capsys, *command, "--help")
    assert code == 0
    assert "Example:\n    edgeml " + command[0] in out
    assert "--help" in out.split("Example:")[0]


def test_train_without_data_is_a_usage_error(capsys: Any) -> None:
    code, _, err = edgeml(capsys, "train")
    assert code == 2
    assert "DATA" in err


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    code, _, err = edgeml(capsys, "demo", "-o", tmp_path)
    assert code == 2
    assert "give another with -o" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
