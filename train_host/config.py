"""What a training run is asked to do: a short TOML, flags, or the run.json of an earlier run."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge_sdk.contract import DecisionSettings
from edge_sdk.dataset import Dataset, Split
from edge_sdk.errors import ConfigError, first_of, suggestion
from edge_sdk.splits import SIDES
from train_host.augment import AUTO, resolve
from train_host.augment.strengths import Strengths, rules
from train_host.fitting.balance import ClassWeights
from train_host.windows import windowing


class Config(Strengths, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what comes out of a training run, but for the data.

    Attributes:
        name: of the model; None means the name of the file it is written to.
        arch: one of `edgeml train --list`; None means the first that fits the data.
        model: options of that architecture, such as ``filters``.
        window: samples in a window; None means two seconds, or less where recordings are shorter.
        hop: samples between two windows; None means half a window.
        epochs: at most so many; None means 30, or more where windows are few.
        batch: windows in a step.
        learning_rate: at the start; it falls to 0 along a cosine.
        patience: stop after so many epochs without a better validation loss, and keep the best; 0 for never;
            None means a third of the epochs, and 0 of anomalies.
        seed: of split, weights, shuffling and augmentation.
        validation: share of the groups that decide when to stop.
        test: share of the groups that only the final figures see.
        augment: names from `train_host.augment`, ``auto`` among them; how strong each is say the keys of
            `Strengths`.
        calibrate: choose a temperature on the validation side, so that scores are as often right as they say.
        false_alarms: choose the threshold on the validation side so that alarms are false at most so often:
            ``1/h``, ``2/day``, or a share of recordings, ``0.02``; None leaves the threshold as it is.
        compare_to: a .keras file, the champion, that the model is to be better than; it gives the split.
        max_group_drop: accuracy that no group may lose more of against the champion.
        split: the groups of each side, ``train``, ``validation`` and ``test``; whoever is on none is left
            out. None divides them by seed and shares, or as the manifest says.
        qat: behind training, teach the model to say the same when it is rounded to int8.
        qat_epochs: of that.
        decision: what the contract says about turning predictions into events.
        class_weights: how much a window of each label counts: ``balanced``, or a table by label.
        init_from: a .keras file of edgeml's, whose weights are where training starts.
        precision: ``float32``, ``mixed_float16``, ``mixed_bfloat16``; ``auto``: half where a GPU is made for
            it. What is saved is float32.
        jit: compile with XLA; None: on a GPU.
        distribute: ``mirrored``: on all GPUs, or on ``mirrored:N`` of them; ``multi-worker``: together with
            other machines, as the environment variable TF_CONFIG says.
        memory_mb: windows that take more than so much are read from the disk while training.
    """

    name: str | None = None
    arch: str | None = None
    model: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    window: int | None = None
    hop: int | None = None
    epochs: int | None = None
    batch: int = 64
    learning_rate: float = 2e-3
    patience: int | None = None
    seed: int = 0
    validation: float = 0.1
    test: float = 0.2
    augment: tuple[str, ...] = (AUTO,)
    calibrate: bool = True
    false_alarms: str | None = None
    compare_to: str | None = None
    max_group_drop: float = 0.05
    split: dict[Literal["train", "validation", "test"], tuple[str, ...]] | None = None
    qat: bool = False
    qat_epochs: int = 5
    decision: DecisionSettings = DecisionSettings()
    class_weights: ClassWeights | None = None
    init_from: str | None = None
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    jit: bool | None = None
    distribute: str | None = None
    memory_mb: int = 1024

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as run.json holds them."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def divide(self, dataset: Dataset) -> Split:
        """The groups to train on, to watch, and to judge by.

        Raises:
            DatasetError: there are too few groups.
            ConfigError: `split` names a group that there is not, or leaves a side empty.
        """
        if self.split is None:
            return dataset.split(self.seed, validation=self.validation, test=self.test)
        sides = {str(side): groups for side, groups in self.split.items()}
        train, validation, test = (tuple(sorted(sides.get(side, ()))) for side in SIDES)
        for side, groups in (("train", train), ("validation", validation), ("test", test)):
            absent = [group for group in groups if group not in dataset.groups]
            if absent or (not groups and side != "validation"):
                raise ConfigError(
                    f"split: {side}",
                    expected=f"a {dataset.group} among {first_of(dataset.groups)}",
                    found=first_of(absent) if absent else "nobody",
                )
        return Split(train, validation, test, dataset.group)

    def for_dataset(self, dataset: Dataset) -> Config:
        """The same with window and hop filled in, and with the augmentations that ``auto`` stands for.

        Raises:
            ConfigError: no window was given, and the dataset has no rate to choose one by.
            DatasetError: a recording cannot be read.
        """
        names = resolve(self.augment, dataset, self, self.arch)
        if dataset.layout == "HWC":
            return msgspec.structs.replace(self, window=1, hop=1, augment=names)
        window = self.window or windowing.usual(dataset)
        return msgspec.structs.replace(
            self, window=window, hop=self.hop or max(1, window // 2), augment=names
        )


def load(path: Path | Mapping[str, Any] | None = None, **flags: Any) -> Config:
    """Read a config and lay flags over it.

    Args:
        path: a TOML with the keys of `Config`, or a run.json, whose ``config`` is taken, or keys and values;
            None: all defaults.
        flags: keys of `Config`; one that is None was not given.

    Raises:
        ConfigError: cannot be read, an unknown key, a value of the wrong kind or out of range.
    """
    data = dict(path) if isinstance(path, Mapping) else _read(path) if path else {}
    where = str(path) if isinstance(path, Path) else "train"
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
        raise ConfigError(
            f"{path}: cannot be read", expected="a TOML, or a .run.json", found=error
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: no config in it", expected="the .run.json of an earlier training")
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
    every = [
        (config.window is None or config.window >= 1, "window", "at least 1", config.window),
        (config.hop is None or config.hop >= 1, "hop", "at least 1", config.hop),
        (config.epochs is None or config.epochs >= 1, "epochs", "at least 1", config.epochs),
        (config.batch >= 1, "batch", "at least 1", config.batch),
        (config.learning_rate > 0, "learning_rate", "more than 0", config.learning_rate),
        (config.patience is None or config.patience >= 0, "patience", "0 or more", config.patience),
        (0 <= config.seed < 2**32, "seed", "0 to 4294967295", config.seed),
        (0 <= config.validation < 1, "validation", "0 to 1", config.validation),
        (0 <= config.max_group_drop <= 1, "max_group_drop", "0 to 1", config.max_group_drop),
        (0 < config.test < 1, "test", "more than 0, less than 1", config.test),
        (config.qat_epochs >= 1, "qat_epochs", "at least 1", config.qat_epochs),
        *rules(config),
        (config.memory_mb >= 1, "memory_mb", "at least 1", config.memory_mb),
        (0 <= decision.threshold <= 1, "decision: threshold", "0 to 1", decision.threshold),
        (decision.smooth >= 1, "decision: smooth", "at least 1", decision.smooth),
    ]
    for holds, key, expected, found in every:
        if not holds:
            raise ConfigError(f"{where}: {key}", expected=expected, found=found)
