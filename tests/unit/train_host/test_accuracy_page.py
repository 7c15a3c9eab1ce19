"""docs/accuracy.md says what the defaults are, and its configs and commands can be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import accuracy
from train_host import augment
from train_host.augment.strengths import LIMITS, ROTATION_DEG
from train_host.config import Config, load

PAGE = accuracy.PAGE.read_text()


def test_the_table_of_kinds_is_what_auto_stands_for() -> None:
    for kind, names in augment.DEFAULTS.items():
        row = re.search(rf"^\| {kind} \| (.*) \|$", PAGE, re.MULTILINE)
        assert row is not None
        assert re.findall(r"`(\w+)`", row[1]) == list(names)


def test_the_config_shows_every_strength_with_its_default(tmp_path: Path) -> None:
    given = tmp_path / "strong.toml"
    given.write_text(accuracy.files()["strong.toml"])
    assert load(given) == Config(augment=("auto", "masks"), rotation_deg=ROTATION_DEG)
    shown = re.findall(r"^(\w+) = ", given.read_text(), re.MULTILINE)
    assert set(shown) >= set(LIMITS)


@pytest.mark.parametrize("name", list(accuracy.SETS))
def test_each_set_has_one_command(name: str) -> None:
    words = accuracy.commands(name)
    assert words[:2] == ["train", name]
    assert words[words.index("--recipe") + 1] == "int8"
    if "--config" in words:
        assert words[words.index("--config") + 1] in accuracy.files()


def test_a_row_of_folds_and_one_of_a_split() -> None:
    converted = {"mean": 0.5, "sd": 0.1, "drop": 0.0021, "drop_interval": [-0.001, 0.005]}
    folds = {"n": 3004, "folds": {"mean": 0.502, "sd": 0.1, "converted": converted}}
    assert (
        accuracy._row("a", folds, 4.4)
        == "| a | 3,004 | 0.502 ± 0.100 | 0.500 ± 0.100 | 0.2 (-0.1 to 0.5) | 4 |"
    )
    split = {
        "n": 10,
        "accuracy": 0.9,
        "interval": [0.8, 1.0],
        "converted": {"accuracy": 0.9003, "drop": -0.0003, "drop_interval": [-0.003, 0.002]},
    }
    assert (
        accuracy._row("b", split, 1.0)
        == "| b | 10 | 0.900 (0.800 to 1.000) | 0.900 | 0.0 (-0.3 to 0.2) | 1 |"
    )


def test_a_set_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "PUBLIC", tmp_path / "none")
    said = CliRunner().invoke(accuracy.main, [str(tmp_path), "digits"])
    assert said.exit_code == 1
    assert f"{tmp_path}/none/audio_fsdd/fsdd.zip: no such file; EDGEML_PUBLIC_DATA says" in said.output
