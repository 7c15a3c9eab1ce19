from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError
from tests.folders import motion, pictures
from train_host.config import Config, load


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(text)
    return path


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        'epochs = 5\nseed = 3\naugment = ["jitter"]\n[model]\nfilters = [8]\n[decision]\nsmooth = 3\n',
    )
    config = load(path, seed=9, window=None)
    assert (config.epochs, config.seed, config.augment, config.window) == (5, 9, ("jitter",), None)
    assert config.model == {"filters": [8]}
    assert config.decision.smooth == 3
    assert config.decision.threshold == 0.5


def test_the_documented_config_is_one(tmp_path: Path) -> None:
    document = (Path(__file__).parents[3] / "docs/training.md").read_text()
    text = document.partition("```toml\n")[2].partition("```")[0]
    config = load(toml(tmp_path, text))
    assert config.class_weights == "balanced"
    assert config.decision.hold_s == 1.0


def test_keys_and_values_are_a_config(tmp_path: Path) -> None:
    plain = load(None, epochs=3, class_weights={"shake": 2.0}).as_dict()
    assert load(plain, seed=4) == load(None, epochs=3, class_weights={"shake": 2.0}, seed=4)
    with pytest.raises(ConfigError, match="train: unknown key 'epoch'"):
        load({"epoch": 3})


def test_a_run_record_gives_its_config_back(tmp_path: Path) -> None:
    config = load(None, seed=4, window=80, augment=["rotation"])
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"accuracy": 0.9, "config": config.as_dict()}))
    assert load(path) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", r"train\.toml: unknown key 'epoch'.*did you mean 'epochs'"),
        ("[decision]\nsmoth = 3", "decision: unknown key 'smoth'.*did you mean 'smooth'"),
        ("epochs = 'many'", r"Expected `int \| null`, got `str` - at `\$\.epochs`"),
        ("epochs = 0", "epochs: expected at least 1, found 0"),
        ("learning_rate = 0", "learning_rate: expected more than 0"),
        ("test = 0", "test: expected more than 0"),
        ("validation = 1", "validation: expected 0 to 1"),
        ("seed = -1", "seed: expected 0 to"),
        ("hop = 0", "hop: expected at least 1"),
        ("memory_mb = 0", "memory_mb: expected at least 1, found 0"),
        ('class_weights = "even"', "class_weights"),
        ('precision = "float8"', "precision"),
        ("shift = 1.5", "shift: expected 0 to 1"),
        ("speed = 1", "speed: expected 0 to 0.99"),
        ('triplets = [["ax"]]', "triplets"),
        ("decision = 4", "decision"),
        ("epochs = ", "cannot be read: expected a TOML"),
    ],
)
def test_a_wrong_config_names_file_key_and_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(toml(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_json_that_is_no_run_record_is_refused(tmp_path: Path) -> None:
    for text in ("{}", "[]", "garbage", '{"config": 3}'):
        path = tmp_path / "run.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"run\.json"):
            load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_a_window_that_nobody_gave_is_two_seconds_and_its_hop_half_of_it(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d")
    assert (filled := Config().for_dataset(dataset)).window == 40
    assert filled.hop == 20
    assert Config(window=30, hop=7).for_dataset(dataset).hop == 7
    toml_path = dataset.folder / "dataset.toml"
    toml_path.write_text(toml_path.read_text().replace("rate_hz = 20\n", ""))
    with pytest.raises(ConfigError, match="window: expected a number of samples"):
        Config().for_dataset(Dataset.load(dataset.folder))


def test_an_image_is_one_window(tmp_path: Path) -> None:
    filled = Config(window=30).for_dataset(pictures(tmp_path / "d"))
    assert (filled.window, filled.hop) == (1, 1)
