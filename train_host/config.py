"""What a training run is asked to do: a short TOML, flags, or the run.json of an earlier run."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk.contract import DecisionSettings
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, suggestion

#: Length of a window where none is given, s.
_WINDOW_S = 2.0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what comes out of a training run, but for the data.

    Attributes:
        name: of the model; None means the name of the file it is written to.
        arch: one of `edgeml train --list`; None means the first that fits the data.
        model: options of that architecture, such as ``filters``.
        window: samples in a window; None means two seconds.
        hop: samples between two windows; None means half a window.
        epochs: at most so many.
        batch: windows in a step.
        learning_rate: at the start; it falls to 0 along a cosine.
        patience: stop after so many epochs without a better validation loss, and keep the best; 0 for never.
        seed: of split, weights, shuffling and augmentation.
        validation: share of the groups that decide when to stop.
        test: share of the groups that only the final figures see.
        augment: names from `train_host.augment`.
        rotation_deg: largest angle of ``rotation``.
        triplets: channels that rotate together, such as ``[["ax", "ay", "az"]]``; None finds them by name.
        jitter: noise of ``jitter``, as a share of each channel's standard deviation.
        scaling: largest change of ``scaling``, as a share.
        shift: largest shift of ``shift``, as a share of the window.
        speed: largest change of ``speed``, as a share.
        decision: what the contract says about turning predictions into events.
    """

    name: str | None = None
    arch: str | None = None
    model: dict[str, Any] = {}
    window: int | None = None
    hop: int | None = None
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 2e-3
    patience: int = 10
    seed: int = 0
    validation: float = 0.1
    test: float = 0.2
    augment: tuple[str, ...] = ()
    rotation_deg: float = 30.0
    triplets: tuple[tuple[str, str, str], ...] | None = None
    jitter: float = 0.05
    scaling: float = 0.1
    shift: float = 0.1
    speed: float = 0.1
    decision: DecisionSettings = DecisionSettings()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as run.json holds them."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def for_dataset(self, dataset: Dataset) -> Config:
        """The same with window and hop filled in.

        Raises:
            ConfigError: no window was given, and the dataset has no rate to choose one by.
        """
        if dataset.layout == "HWC":
            return msgspec.structs.replace(self, window=1, hop=1)
        window = self.window
        if window is None:
            if dataset.rate_hz is None:
                raise ConfigError(
                    "window", expected="a number of samples", found="nothing, and no rate_hz either"
                )
            window = max(1, round(_WINDOW_S * dataset.rate_hz))
        return msgspec.structs.replace(self, window=window, hop=self.hop or max(1, window // 2))


def load(path: Path | None = None, **flags: Any) -> Config:
    """Read a config and lay flags over it.

    Args:
        path: a TOML with the keys of `Config`, or a run.json, whose ``config`` is taken; None: all defaults.
        flags: keys of `Config`; one that is None was not given.

    Raises:
        ConfigError: cannot be read, an unknown key, a value of the wrong kind or out of range.
    """
    data = _read(path) if path else {}
    where = str(path) if path else "train"
    data |= {key: value for key, value in flags.items() if value is not None}
    _known(where, data, Config.__struct_fields__)
    decision = data.get("decision", {})
    if isinstance(decision, dict):
        _known(f"{where}: decision", decision, [field.name for field in dataclasses.fields(DecisionSettings)])
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}", remedy="see docs/training.md") from error
    _check(where, config)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            data = json.loads(text)
            data = data.get("config") if isinstance(data, dict) else None
        else:
            data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read", expected="a TOML, or a run.json", found=error) from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: no config in it", expected="the run.json of an earlier training")
    return data


def _known(where: str, data: dict[str, Any], keys: Any) -> None:
    for key in data:
        if key not in keys:
            expected = "one of " + ", ".join(keys)
            raise ConfigError(
                f"{where}: unknown key {key!r}", expected=expected, remedy=suggestion(key, keys)
            )


def _check(where: str, config: Config) -> None:
    decision = config.decision
    rules = [
        (config.window is None or config.window >= 1, "window", "at least 1", config.window),
        (config.hop is None or config.hop >= 1, "hop", "at least 1", config.hop),
        (config.epochs >= 1, "epochs", "at least 1", config.epochs),
        (config.batch >= 1, "batch", "at least 1", config.batch),
        (config.learning_rate > 0, "learning_rate", "more than 0", config.learning_rate),
        (config.patience >= 0, "patience", "0 or more", config.patience),
        (0 <= config.seed < 2**32, "seed", "0 to 4294967295", config.seed),
        (0 <= config.validation < 1, "validation", "0 to 1", config.validation),
        (0 < config.test < 1, "test", "more than 0, less than 1", config.test),
        (0 <= config.rotation_deg <= 180, "rotation_deg", "0 to 180", config.rotation_deg),
        (config.jitter >= 0, "jitter", "0 or more", config.jitter),
        (0 <= config.scaling < 1, "scaling", "0 to 1", config.scaling),
        (0 <= config.shift <= 1, "shift", "0 to 1", config.shift),
        (0 <= config.speed < 1, "speed", "0 to 1", config.speed),
        (0 <= decision.threshold <= 1, "decision: threshold", "0 to 1", decision.threshold),
        (decision.smooth >= 1, "decision: smooth", "at least 1", decision.smooth),
    ]
    for holds, key, expected, found in rules:
        if not holds:
            raise ConfigError(f"{where}: {key}", expected=expected, found=found)
