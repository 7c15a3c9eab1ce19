from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from edge_sdk.errors import ConfigError, UnknownNameError
from tests.folders import motion, pictures
from train_host import augment
from train_host.augment.strengths import LIMITS, Strengths
from train_host.config import Config, load

PLAIN = Strengths()


def sound(folder: Path) -> Dataset:
    facts = Facts(
        name="words", channels=(Channel("audio", "", (-1.0, 1.0)),), rate_hz=8000, labels=("go", "quiet")
    )
    signal = Signal(np.zeros((800, 1), np.float32), 8000.0, ("audio",))
    return write(
        folder,
        facts,
        [NewRecording(signal, label, f"p{g}", "1") for g in range(3) for label in facts.labels],
    )


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("sets")
    return {
        "signals": motion(folder / "motion"),
        "sound": sound(folder / "words"),
        "images": pictures(folder / "stripes"),
    }


def test_auto_is_what_helps_with_data_of_a_kind(sets: dict[str, Dataset]) -> None:
    for kind, dataset in sets.items():
        found = Config().for_dataset(dataset).augment
        assert found == augment.DEFAULTS[kind]
        augment.check(found, dataset, PLAIN)


def test_auto_may_stand_among_other_names_and_none_twice(sets: dict[str, Dataset]) -> None:
    found = augment.resolve(["flip", "auto", "crop"], sets["images"], PLAIN, None)
    assert found == ("flip", *augment.DEFAULTS["images"])
    assert augment.resolve([], sets["images"], PLAIN, None) == ()


def test_auto_rotates_only_what_has_three_axes(sets: dict[str, Dataset]) -> None:
    pressures = replace(sets["signals"], channels=tuple(Channel(f"p{n}", "Pa") for n in range(3)))
    assert "rotation" in augment.resolve(["auto"], sets["signals"], PLAIN, None)
    assert "rotation" not in augment.resolve(["auto"], pressures, PLAIN, None)
    named = Strengths(triplets=(("p0", "p1", "p2"),))
    assert "rotation" in augment.resolve(["auto"], pressures, named, None)


def test_auto_leaves_levels_alone_that_have_a_unit(sets: dict[str, Dataset]) -> None:
    """How much a machine shakes says how well it is; how loud a word is, says nothing."""
    bearing = replace(sets["sound"], channels=(Channel("vibration", "g"),))
    found = augment.resolve(["auto"], bearing, PLAIN, None)
    assert set(augment.DEFAULTS["sound"]) - set(found) == {"gain", "tone"}


def test_auto_leaves_values_alone_that_a_model_is_to_say(sets: dict[str, Dataset]) -> None:
    """A scaled window would have another value; a scaled normal window may be an anomaly."""
    for task in ("regression", "anomaly"):
        assert augment.resolve(["auto"], replace(sets["signals"], task=task), PLAIN, None) == ()


@pytest.mark.parametrize("arch", ["mine.models:build", "transfer"])
def test_auto_leaves_the_spectrogram_to_models_that_have_one(sets: dict[str, Dataset], arch: str) -> None:
    found = augment.resolve(["auto"], sets["sound"], PLAIN, arch)
    assert found
    assert {augment.TABLE[name].changes for name in found} == {"windows"}
    assert set(augment.resolve(["auto"], sets["sound"], PLAIN, "cnn2d")) > set(found)


def test_what_does_not_fit_is_refused(sets: dict[str, Dataset]) -> None:
    signals = sets["signals"]
    augment.check(["rotation", "jitter"], signals, PLAIN)
    one = replace(signals, channels=(Channel("p", "Pa"), Channel("q", "Pa")))
    with pytest.raises(ConfigError, match="rotation needs a sensor with three axes.*found p, q"):
        augment.check(["rotation"], one, PLAIN)
    with pytest.raises(UnknownNameError, match="unknown augmentation 'rotaton'.*did you mean 'rotation'"):
        augment.check(["rotaton"], signals, PLAIN)
    with pytest.raises(
        ConfigError, match="flip is made for images: expected some of rotation.*found.*signals"
    ):
        augment.check(["flip"], signals, PLAIN)
    with pytest.raises(ConfigError, match="background: expected a label: go, quiet: found hum|found hum"):
        augment.check(["noise"], sets["sound"], Strengths(background="hum"))


def test_every_strength_has_its_limits(tmp_path: Path) -> None:
    for key, (low, high) in LIMITS.items():
        load(None, **{key: low})
        load(None, **{key: high})
        for beyond in (low - 0.1, high + 0.1):
            with pytest.raises(ConfigError, match=f"{key}: expected .* to .*found"):
                load(None, **{key: beyond})
    with pytest.raises(ConfigError, match="snr_db: expected two of -40 to 80, ascending"):
        load(None, snr_db=[30, 5])


def test_config_finds_a_misspelt_strength(tmp_path: Path) -> None:
    given = tmp_path / "train.toml"
    given.write_text("rotaton_deg = 3\n")
    with pytest.raises(ConfigError, match="unknown key 'rotaton_deg'.*did you mean 'rotation_deg'"):
        load(given)


def test_a_resolved_config_is_repeated_as_it_is(sets: dict[str, Dataset]) -> None:
    """run.json names the augmentations, whatever ``auto`` comes to mean later."""
    first: dict[str, Any] = Config().for_dataset(sets["signals"]).as_dict()
    assert "auto" not in first["augment"]
    again = load(None, augment=first["augment"]).for_dataset(sets["signals"])
    assert again.augment == tuple(first["augment"])
