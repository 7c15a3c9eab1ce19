"""What a search may choose from: keys of a training's config, options of an architecture, and the recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from edge_sdk.errors import ConfigError, UnknownNameError, suggestion
from train_host import architectures
from train_host.architectures.kinds import IMAGES, SIGNALS, SOUND
from train_host.config import Config, load

RECIPE, ARCH = "recipe", "arch"
#: What is the same in every trial, or they could not be compared.
_FIXED = ("name", "seed", "split", "test", "validation", "window", "hop", "init_from", "model", "calibrate")

#: What is searched where nothing else is said, kind by kind. Options are those of the architectures.
_USUAL: dict[str, dict[str, Any]] = {
    SIGNALS: {
        ARCH: ["cnn1d", "tcn"],
        "learning_rate": {"low": 5e-4, "high": 5e-3, "log": True},
        "batch": [32, 64, 128],
        "cnn1d": {"filters": [[8, 16, 16], [16, 24, 32], [24, 32, 48], [32, 48, 64]]},
        "tcn": {"filters": [8, 16, 24, 32]},
    },
    SOUND: {
        ARCH: ["ds_cnn", "cnn2d"],
        "learning_rate": {"low": 5e-4, "high": 5e-3, "log": True},
        "ds_cnn": {"filters": [16, 32, 48, 64]},
        "cnn2d": {"filters": [[8, 16, 32], [16, 32, 64], [32, 64, 128]]},
    },
    IMAGES: {
        ARCH: ["cnn2d", "resnet8"],
        "learning_rate": {"low": 5e-4, "high": 5e-3, "log": True},
        "cnn2d": {"filters": [[8, 16, 32], [16, 32, 64], [32, 64, 128]]},
        "resnet8": {"filters": [[8, 16, 32], [16, 32, 64], [24, 48, 96]]},
    },
}
#: The same for detectors of anomalies: only the first of them is found by gradients.
_DETECTORS: dict[str, dict[str, list[Any]]] = {
    "autoencoder": {"units": [[32], [64, 32], [128, 64]], "code": [4, 8, 16]},
    "gmm": {"centres": [1, 2, 4, 8], "bands": [8, 16, 32]},
    "kmeans": {"centres": [2, 4, 8, 16], "bands": [8, 16, 32]},
}


class Suggests(Protocol):
    """What Optuna calls a trial."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """One of several."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Suggests, name: str) -> Any:
        """One of them; lists go through Optuna as text."""
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two; ``log`` for what matters by its magnitude."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Suggests, name: str) -> float | int:
        """A whole number where both ends are."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, float(self.low), float(self.high), log=self.log)


@dataclass(frozen=True)
class Space:
    """All dimensions of a search.

    Attributes:
        keys: of a config, and ``recipe``.
        options: of each architecture; searched where that architecture is tried.
    """

    keys: Mapping[str, Choice | Range]
    options: Mapping[str, Mapping[str, Choice | Range]]

    def suggest(self, trial: Suggests, arch: str) -> dict[str, Any]:
        """Values for one trial; options of an architecture as ``arch.option``.

        Args:
            trial: says what to try.
            arch: where none is searched for.
        """
        found = {name: dimension.suggest(trial, name) for name, dimension in self.keys.items()}
        chosen = str(found.get(ARCH, arch))
        for option, dimension in self.options.get(chosen, {}).items():
            found[f"{chosen}.{option}"] = dimension.suggest(trial, f"{chosen}.{option}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to tell whether a search is the same."""
        plain = {name: msgspec.to_builtins(dimension) for name, dimension in self.keys.items()}
        options = {
            arch: {name: msgspec.to_builtins(dimension) for name, dimension in table.items()}
            for arch, table in self.options.items()
        }
        return {**plain, **options}


def usual(kind: str, task: str) -> dict[str, Any]:
    """The table ``[search]`` where there is none, for windows of a kind and a task.

    >>> usual("signals", "anomaly")["arch"]
    ['autoencoder', 'gmm', 'kmeans']
    """
    if task != "anomaly":
        return dict(_USUAL[kind])
    names = [name for name in architectures.names(kind, task) if name in _DETECTORS]
    # the features of sound are a spectrogram, which has bands of its own
    options = {
        name: {key: values for key, values in _DETECTORS[name].items() if key != "bands" or kind == SIGNALS}
        for name in names
    }
    return {ARCH: names, **options}


def applied(values: Mapping[str, Any], base: Config) -> Config:
    """A config with the values of one trial.

    Raises:
        ConfigError: a value that the config does not take.
    """
    keys = {name: value for name, value in values.items() if name != RECIPE and "." not in name}
    options = {name.partition(".")[2]: value for name, value in values.items() if "." in name}
    table = {**base.as_dict(), **keys, "model": {**base.model, **options}}
    return load(None, **{name: value for name, value in table.items() if value is not None})


def parse(table: Mapping[str, Any], where: str) -> Space:
    """The table ``[search]``.

    A list is a choice, ``{low = 1e-4, high = 1e-2, log = true}`` a range; a table named after an architecture
    holds its options.

    Raises:
        ConfigError: an unknown key, or a value that is neither.
        UnknownNameError: no such architecture.
    """
    keys: dict[str, Choice | Range] = {}
    options: dict[str, dict[str, Choice | Range]] = {}
    known = [name for name in (*Config.__struct_fields__, RECIPE) if name not in _FIXED]
    for name, value in table.items():
        is_options = isinstance(value, dict) and not {"low", "high"} & set(value)
        if is_options:
            if name not in architectures.TABLE and ":" not in name:
                raise UnknownNameError("architecture", name, architectures.TABLE)
            options[name] = {
                option: _dimension(each, f"{where}: {name}.{option}") for option, each in value.items()
            }
        elif name not in known:
            raise ConfigError(
                f"{where}: unknown key {name!r}",
                expected="one of " + ", ".join(known),
                remedy=suggestion(name, known),
            )
        else:
            keys[name] = _dimension(value, f"{where}: {name}")
    if not keys and not any(options.values()):
        raise ConfigError(
            where,
            expected="at least one key to search",
            found="none",
            remedy="name some under [search] in a --config, such as learning_rate = [1e-3, 3e-3]",
        )
    ordered = sorted(keys, key=lambda name: name != ARCH)
    return Space({name: keys[name] for name in ordered}, options)


def _dimension(value: Any, where: str) -> Choice | Range:
    if isinstance(value, list) and value:
        return Choice(tuple(value))
    if isinstance(value, dict) and set(value) <= {"low", "high", "log"} and {"low", "high"} <= set(value):
        low, high, log = value["low"], value["high"], value.get("log", False)
        is_range = all(_is_number(each) for each in (low, high)) and low < high
        if is_range and isinstance(log, bool) and (not log or low > 0):
            return Range(low, high, log)
    raise ConfigError(where, expected="a list, or {low = …, high = …} with low < high", found=value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def names_of(values: Mapping[str, Any]) -> Iterator[str]:
    """The values of a trial for people, ``filters=[8, 16]``."""
    for name, value in values.items():
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        yield f"{name.rpartition('.')[2]}={shown}"
