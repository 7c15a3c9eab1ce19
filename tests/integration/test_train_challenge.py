"""A challenger against a champion through the command line, both outcomes; the files that they leave."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import modelfile, read_contract
from edge_sdk.dataset import Dataset
from edge_sdk.modelfile import GOLDEN, RUN, Golden
from tests.folders import motion
from train_host import config as configs

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
keras = pytest.importorskip("keras", reason="pip install 'edgeml-kit[train]'")

KEYS = {"accuracy", "interval", "n", "per_group", "model", "seconds"}
CONFIG = (
    'batch = 32\nvalidation = 0.25\naugment = []\nseed = 3\n[decision]\nsmooth = 2\nbackground = ["rest"]\n'
)


@dataclasses.dataclass
class Trained:
    """One run of the command.

    Attributes:
        code: its exit status.
        said: the object that it printed.
        model: what it wrote.
        page: the report beside that.
    """

    code: int
    said: dict[str, Any]
    model: Path
    page: str


def train(data: Path, folder: Path, *options: object, rate: float = 2e-3) -> Trained:
    """Into a folder of its own."""
    folder.mkdir()
    (folder / "train.toml").write_text(f"learning_rate = {rate}\n{CONFIG}")
    model = folder / "new.keras"
    arguments = ["train", data, "-o", model, "--config", folder / "train.toml", "--json", *options]
    done = subprocess.run(
        [sys.executable, "-m", "edge_sdk", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.stdout, done.stderr
    assert done.returncode in (0, 1), done.stderr
    return Trained(
        done.returncode, json.loads(done.stdout), model, (folder / "new.training.html").read_text()
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motion(tmp_path_factory.mktemp("data") / "shaking", groups=8, seconds=40.0).folder


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "champion.keras"


@pytest.fixture(scope="module")
def ignorant(data: Path, champion: Path) -> Trained:
    """A model that has learned next to nothing, and is the champion for want of another."""
    from train_host import final
    from train_host.fitting.session import Session
    from train_host.windows import samples

    folder, dataset = champion.parent / "a", Dataset.load(data)
    folder.mkdir()
    keys = {"batch": 32, "validation": 0.25, "augment": [], "seed": 3, "epochs": 1, "learning_rate": 1e-6}
    config = configs.load(keys).for_dataset(dataset)
    windows = samples.collect(dataset, config, folder)
    said = final.train(dataset, windows, config, folder / "new.keras", Session())
    champion.write_bytes((folder / "new.keras").read_bytes())
    return Trained(0, said, folder / "new.keras", (folder / "new.training.html").read_text())


@pytest.fixture(scope="module")
def winner(data: Path, champion: Path, ignorant: Trained) -> Trained:
    options = ("--compare-to", champion, "--replace", "--epochs", 12, "--false-alarms", "0/h")
    return train(data, champion.parent / "b", *options)


@pytest.fixture(scope="module")
def loser(data: Path, champion: Path, winner: Trained) -> Trained:
    options = ("--compare-to", champion, "--replace", "--epochs", 1)
    return train(data, champion.parent / "c", *options, rate=1e-6)


def test_a_better_challenger_takes_the_place_of_the_champion(
    data: Path, champion: Path, ignorant: Trained, winner: Trained
) -> None:
    assert "challenge" not in ignorant.said
    assert winner.code == 0
    assert winner.said.keys() >= KEYS
    found = winner.said["challenge"]
    assert found["better"] is True
    assert found["accuracy_champion"] == ignorant.said["accuracy"]
    assert found["accuracy_challenger"] == winner.said["accuracy"]
    assert found["gain"] == pytest.approx(winner.said["accuracy"] - ignorant.said["accuracy"])
    assert 0 < found["gain_interval"][0] <= found["gain"] <= found["gain_interval"][1]
    assert found["p_value"] < 0.001
    assert set(found["per_group"]) == set(ignorant.said["per_group"])
    assert found["replaced"] == str(champion)
    assert found["previous"] == str(champion.parent / "champion.previous.keras")
    assert Path(found["previous"]).read_bytes() == ignorant.model.read_bytes()
    assert "Better than the champion." in winner.page


def test_a_worse_challenger_fails_with_reasons_and_its_file_is_there_all_the_same(
    champion: Path, winner: Trained, loser: Trained
) -> None:
    assert loser.code == 1
    assert loser.said.keys() >= KEYS
    found = loser.said["challenge"]
    assert found["better"] is False
    assert found["reasons"][0].startswith("it is worse: -")
    assert "replaced" not in found
    assert loser.model.stat().st_size > 10_000
    assert champion.read_bytes() == winner.model.read_bytes()
    assert "The champion stays." in loser.page
    assert found["reasons"][0].split(":")[0] in loser.page


def test_the_record_repeats_the_challenger_without_the_champion(data: Path, winner: Trained) -> None:
    run = json.loads(modelfile.read_members(winner.model)[RUN])
    assert run["challenge"]["better"] is True
    config = configs.load(winner.model.with_name("new.run.json"))
    assert config.compare_to is None
    split = config.divide(Dataset.load(data))
    assert split.as_dict() == run["split"] == winner.said["split"]


def test_the_temperature_is_in_the_weights_and_the_lineage(data: Path, ignorant: Trained) -> None:
    calibration = ignorant.said["calibration"]
    assert calibration["applied"], calibration["reason"]
    contract = read_contract(ignorant.model)
    assert contract is not None
    assert contract.lineage is not None
    assert list(contract.lineage.temperature or ()) == calibration["temperature"]
    assert contract.lineage.calibration_error == calibration["after"]["ece"]["value"]
    before, after = calibration["before"]["nll"]["value"], calibration["after"]["nll"]["value"]
    assert calibration["nll_gain"]["value"] == pytest.approx(before - after, abs=1e-5)

    model = keras.saving.load_model(ignorant.model, compile=False)
    golden = Golden.from_bytes(modelfile.read_members(ignorant.model)[GOLDEN])
    said = model.predict(golden.inputs[0], verbose=0)
    np.testing.assert_allclose(said, np.asarray(golden.outputs[0], np.float64), atol=1e-4)
    kernel, bias = (np.asarray(weight) for weight in model.layers[-1].weights)
    (temperature,) = calibration["temperature"]
    model.layers[-1].set_weights([kernel * temperature, bias * temperature])
    raw = model.predict(golden.inputs[0], verbose=0)
    np.testing.assert_array_equal(raw.argmax(axis=1), said.argmax(axis=1))
    ratios = [np.log(scores[:, 0] / scores[:, 1]) for scores in (raw, said)]
    np.testing.assert_allclose(ratios[0] / temperature, ratios[1], rtol=0.01)


def test_the_threshold_is_in_the_contract(winner: Trained, ignorant: Trained) -> None:
    decision = winner.said["decision"]
    assert decision["kept"] is True
    assert decision["false_alarms"] == 0
    assert decision["detection"]["value"] == 1.0
    low, high = decision["false_alarms_per_hour"]["interval"]
    assert low == 0.0 < high
    assert "cannot promise 0/h" in decision["note"]
    contract = read_contract(winner.model)
    assert contract is not None
    assert contract.decision.threshold == decision["threshold"]
    assert contract.decision.smooth == 2
    assert contract.decision.background == ("rest",)
    assert ignorant.said["decision"] is None


def test_every_figure_has_an_interval(winner: Trained) -> None:
    said = winner.said
    for group, share in said["per_group"].items():
        low, high = said["per_group_interval"][group]
        assert low <= share <= high
    for share, (low, high) in zip(said["per_class"], said["per_class_interval"], strict=True):
        assert low <= share <= high


def test_the_report_has_every_section(winner: Trained) -> None:
    for title in ("Champion and challenger", "Confusion", "Accuracy", "Errors", "Confidence", "Events"):
        assert f"<h2>{title}</h2>" in winner.page
    for title in ("Training", "Data", "Lineage"):
        assert f"<h2>{title}</h2>" in winner.page
    assert "http" not in winner.page.replace("http-equiv", "")
