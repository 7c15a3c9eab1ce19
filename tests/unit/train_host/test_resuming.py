from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError
from tests.folders import motion
from train_host import record, resuming
from train_host.config import Config
from train_host.fitting.checkpoints import Checkpoints
from train_host.fitting.course import Course
from train_host.workspace import Workspace

CONFIG = Config(window=40, hop=20, epochs=30, seed=3, augment=())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return motion(tmp_path_factory.mktemp("data") / "d")


@pytest.fixture
def output(dataset: Dataset, tmp_path: Path) -> Path:
    """A model whose training was interrupted in its 12th epoch."""
    output = tmp_path / "m.keras"
    folder = Workspace(output).checkpoints
    folder.parent.mkdir()
    kept = Checkpoints(folder, {**resuming.identity(dataset, CONFIG), "device": "CPU"}, run=7)
    kept.write(1, {"course": Course(30, epoch=11, step=1).as_dict()}, {"model/0": np.zeros(3)})
    return output


def refused(output: Path, dataset: Dataset, config: Config) -> str:
    before = resuming.interrupted(output)
    assert before is not None
    with pytest.raises(ConfigError) as caught:
        resuming.check(output, before, resuming.identity(dataset, config))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_same_may_go_on(dataset: Dataset, output: Path) -> None:
    before = resuming.interrupted(output)
    assert before is not None
    assert resuming.where(before) == "epoch 12 of 30"
    assert msgspec.convert(resuming.config_of(before), Config) == CONFIG
    resuming.check(output, before, resuming.identity(dataset, CONFIG))
    assert resuming.run_number(before, resume=True) == 7
    assert resuming.run_number(before, resume=False) > 7


def test_another_option_is_named_with_both_values(dataset: Dataset, output: Path) -> None:
    said = refused(output, dataset, msgspec.structs.replace(CONFIG, seed=4, epochs=31))
    assert "cannot go on with another epochs, seed: expected 30, 3, as it began, found 31, 4; give" in said
    said = refused(output, dataset, Config(window=41, hop=21, epochs=1, seed=9, batch=2, augment=()))
    assert "batch, epochs, hop and 2 more" in said


def test_other_data_is_refused(output: Path, tmp_path: Path) -> None:
    said = refused(output, motion(tmp_path / "other", seed=1), CONFIG)
    assert "another dataset: expected sha256:" in said


def test_other_weights_to_start_from_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    start = tmp_path / "champion.keras"
    start.write_bytes(b"one")
    config = msgspec.structs.replace(CONFIG, init_from=str(start))
    before = resuming.identity(dataset, config)
    start.write_bytes(b"two")
    assert before["init_from"] != resuming.identity(dataset, config)["init_from"]


def test_another_version_of_what_computes_is_refused(
    dataset: Dataset, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = record.versions()
    monkeypatch.setattr("train_host.record.versions", lambda: {**there, "numpy": "9.9"})
    assert "another versions.numpy" in refused(output, dataset, CONFIG)


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert resuming.interrupted(tmp_path / "m.keras") is None
    assert resuming.run_number(None, resume=True) > 10**18
