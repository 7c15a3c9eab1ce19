"""Options of ``edgeml train`` about the loop: what is wrong with them is said before TensorFlow starts."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import cli
from edge_sdk.dataset import Dataset
from tests.folders import motion
from train_host import config as configs
from train_host import resuming
from train_host.fitting.checkpoints import Checkpoints
from train_host.fitting.course import Course
from train_host.workspace import Workspace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return motion(tmp_path / "data").folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the training process would have been asked for."""
    calls: list[dict[str, Any]] = []

    def call(function: str, **arguments: Any) -> Any:
        calls.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_sdk.child.call", call)
    return calls


def edgeml(capsys: Any, *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([*map(str, arguments)])
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class-weights", "rest=2,shak=1"], "class_weights: unknown label 'shak'"),
        (["--class-weights", "rest=much"], "--class-weights: expected LABEL=WEIGHT"),
        (["--class-weights", "even"], "class_weights"),
        (["--memory-mb", "0"], "memory_mb: expected at least 1, found 0"),
        (["--precision", "float8"], "'float8' is not one of"),
        (["--init-from", "absent.keras"], "absent.keras"),
        (["--init-from", "foreign.keras"], "expected a model that edgeml train has made"),
        (["--checkpoint-s", "-1"], "-1.0 is not in the range"),
    ],
)
def test_what_is_wrong_is_said_at_once(
    capsys: Any, folder: Path, asked: list[Any], arguments: list[str], message: str
) -> None:
    with zipfile.ZipFile("foreign.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    code, said = edgeml(capsys, "train", folder, "-o", "m.keras", *arguments)
    assert code == 2
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not asked
    assert sorted(path.name for path in Path().iterdir()) == ["data", "foreign.keras"]


def test_folds_and_a_start_do_not_go_together(capsys: Any, folder: Path, asked: list[Any]) -> None:
    code, said = edgeml(capsys, "train", folder, "--folds", 2, "--init-from", "any.keras")
    assert code == 2
    assert "test on groups that the model has seen" in said
    assert not asked


def test_options_reach_the_training_process(capsys: Any, folder: Path, asked: list[dict[str, Any]]) -> None:
    arguments = ["--class-weights", "shake=2.5", "--memory-mb", "7", "--precision", "float32", "--jit"]
    code, _ = edgeml(
        capsys, "train", folder, "-o", "m.keras", *arguments, "--checkpoint-s", 2, "--tensorboard", "curves"
    )
    assert code == 130
    config = asked[0]["config"]
    assert config["class_weights"] == {"shake": 2.5}
    assert (config["memory_mb"], config["precision"], config["jit"]) == (7, "float32", True)
    site = asked[0]["site"]
    assert site["events"] == str(Path("curves").absolute())
    assert (site["checkpoint_s"], site["resume"]) == (2, False)
    assert [path.name for path in Path().iterdir()] == ["data"]


@pytest.fixture
def interrupted(folder: Path) -> int:
    """A training of m.keras that was interrupted in its 3rd epoch of 8; its number."""
    dataset = Dataset.load(folder)
    config = configs.load(None, epochs=8, seed=6).for_dataset(dataset)
    checkpoints = Workspace(Path("m.keras")).checkpoints
    checkpoints.mkdir(parents=True)
    kept = Checkpoints(checkpoints, resuming.identity(dataset, config), run=5)
    kept.write(2, {"course": Course(8, epoch=2).as_dict()}, {"model/0": np.zeros(3)})
    return 5


@pytest.mark.parametrize("options", [[], ["--epochs", "8"], ["--seed", "6", "--epochs", "8"]])
def test_resuming_takes_the_options_that_it_began_with(
    capsys: Any, folder: Path, asked: list[dict[str, Any]], interrupted: int, options: list[str]
) -> None:
    code, said = edgeml(capsys, "train", folder, "-o", "m.keras", "--resume", *options)
    assert code == 130
    assert "m.keras: goes on in epoch 3 of 8" in said
    assert (asked[0]["config"]["epochs"], asked[0]["config"]["seed"]) == (8, 6)
    assert (asked[0]["site"]["run"], asked[0]["site"]["resume"]) == (interrupted, True)


def test_another_option_does_not_go_on(capsys: Any, folder: Path, asked: list[Any], interrupted: int) -> None:
    code, said = edgeml(capsys, "train", folder, "-o", "m.keras", "--resume", "--epochs", 9)
    assert code == 2
    assert "cannot go on with another epochs: expected 8, as it began, found 9; give what it began" in said
    assert not asked
    assert resuming.interrupted(Path("m.keras")) is not None


def test_without_resume_it_is_said_what_is_given_up(
    capsys: Any, folder: Path, asked: list[dict[str, Any]], interrupted: int
) -> None:
    _, said = edgeml(capsys, "train", folder, "-o", "m.keras")
    assert "interrupted in epoch 3 of 8, and is given up after the first epoch; --resume goes on" in said
    assert asked[0]["site"]["run"] > interrupted
    assert resuming.interrupted(Path("m.keras")) is not None  # not before the new one has something


def test_nothing_to_go_on_from_is_said(capsys: Any, folder: Path, asked: list[dict[str, Any]]) -> None:
    _, said = edgeml(capsys, "train", folder, "-o", "m.keras", "--resume")
    assert "m.keras: no checkpoint to go on from, so it begins at the beginning" in said
    assert asked
