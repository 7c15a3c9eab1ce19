"""docs/accuracy.md says what the defaults are, and its configs and commands can be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import accuracy
from train_host import augment
from train_host.augment.strengths import LIMITS
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
    assert load(given) == Config(augment=("auto", "masks"))
    shown = re.findall(r"^(\w+) = ", given.read_text(), re.MULTILINE)
    assert set(shown) >= set(LIMITS)


@pytest.mark.parametrize("name", list(accuracy.SETS))
def test_each_set_has_one_command(name: str) -> None:
    words = accuracy.commands(name)
    assert words[:2] == ["train", name]
    assert words[words.index("--recipe") + 1] == "int8"
    if "--config" in words:
        assert words[words.index("--config") + 1] in accuracy.files()
