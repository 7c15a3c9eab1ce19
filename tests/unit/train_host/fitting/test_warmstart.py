from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.contract import Channel, Contract, Input, Output, Reference, Statistics
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.modelfile import CONTRACT, RUN
from tests.folders import motion
from train_host import config as configs
from train_host.fitting import warmstart
from train_host.fitting.warmstart import Start, names

STATISTICS = Statistics((0.0, 0.0, 1.0), (1.0, 2.0, 3.0))
CONTRACTED = Contract(
    "old",
    "classification",
    Input(tuple(Channel(name, "g") for name in ("ax", "ay", "az")), 20.0, 30, 10),
    Output(("rest", "shake")),
    reference=Reference(STATISTICS),
)
RECORD: dict[str, Any] = {
    "split": {"train": ["p0", "p1"], "validation": ["p2"], "test": ["p3"], "by": "person"},
    "config": {"arch": "cnn1d", "model": {"filters": [4]}, "window": 30, "hop": 10, "epochs": 99},
}


def model(path: Path, contract: Contract = CONTRACTED, record: Any = RECORD) -> Path:
    """What training leaves in a .keras file, without its weights."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONTRACT, contract.to_json())
        archive.writestr(RUN, json.dumps(record))
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return motion(tmp_path_factory.mktemp("d") / "data", groups=6)


def test_what_nobody_gave_is_as_it_was_for_the_old_model(dataset: Dataset, tmp_path: Path) -> None:
    path = model(tmp_path / "old.keras")
    config = warmstart.enter(configs.load(None, init_from=str(path), hop=7), dataset)
    assert (config.arch, config.model, config.window, config.hop) == ("cnn1d", {"filters": [4]}, 30, 7)
    assert config.epochs is None  # how long to train is not what the model is
    assert Start.load(path).statistics == STATISTICS


def test_options_go_with_their_architecture(dataset: Dataset, tmp_path: Path) -> None:
    path = str(model(tmp_path / "old.keras"))
    given = warmstart.enter(configs.load(None, init_from=path, arch="tcn"), dataset)
    assert (given.arch, given.model) == ("tcn", {})
    given = warmstart.enter(configs.load(None, init_from=path, model={"filters": [9]}), dataset)
    assert (given.arch, given.model) == ("cnn1d", {"filters": [9]})


def test_without_a_start_nothing_changes(dataset: Dataset) -> None:
    config = configs.load(None)
    assert warmstart.enter(config, dataset) is config
    warmstart.check(config, dataset)


def test_whoever_tested_the_old_model_tests_the_new_one(dataset: Dataset, tmp_path: Path) -> None:
    config = warmstart.enter(configs.load(None, init_from=str(model(tmp_path / "old.keras"))), dataset)
    split = config.divide(dataset)
    assert {"p0", "p1"} <= set(split.train)
    assert split.validation == ("p2",)
    assert "p3" in split.test
    warmstart.check(config, dataset)


def test_nobody_tests_what_the_old_model_learned_from(dataset: Dataset, tmp_path: Path) -> None:
    sides = {"train": ["p3"], "test": ["p1", "p4"]}
    path = str(model(tmp_path / "old.keras"))
    config = warmstart.enter(configs.load(None, init_from=path, split=sides), dataset)
    with pytest.raises(
        ConfigError, match=r"was trained on groups that are to test.*found p1; leave the split"
    ):
        warmstart.check(config, dataset)


def test_a_model_that_hears_something_else_is_no_start(dataset: Dataset, tmp_path: Path) -> None:
    other = dataclasses.replace(CONTRACTED, input=Input((Channel("ax", "g"),), 20.0, 30, 10))
    path = str(model(tmp_path / "old.keras", other))
    with pytest.raises(ConfigError, match="hears other channels: expected ax, ay, az, found ax"):
        warmstart.enter(configs.load(None, init_from=path), dataset)


@pytest.mark.parametrize("record", [{}, [], {"config": 3}])
def test_a_model_that_does_not_say_how_it_was_trained_is_no_start(tmp_path: Path, record: Any) -> None:
    with pytest.raises(ModelError, match="expected the config of its training"):
        Start.load(model(tmp_path / "old.keras", record=record))


def test_a_model_of_another_origin_is_for_transfer(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"expected a model that edgeml train has made; .*--arch transfer"):
        Start.load(tmp_path / "m.keras")


def test_outputs_have_the_names_of_labels_or_values() -> None:
    assert names(Output(("rest", "shake"))) == ["rest", "shake"]
    assert names(Output((), "value", (Channel("load", "N"),))) == ["load"]
