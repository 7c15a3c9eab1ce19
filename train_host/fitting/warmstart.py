"""Where training starts from a model that was trained before: its shape, its normalisation, its weights.

At the first step the new model says what the old one says. No TensorFlow here but in `transfer`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge_sdk.contract import Contract, Output, Statistics
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, ModelError, first_of, one_line
from edge_sdk.modelfile import CONTRACT, RUN, digest_of
from edge_sdk.schema import parse_contract
from train_host.config import Config
from train_host.judging import challenge

#: Options that the old model decides where nobody else does.
_INHERITED = ("arch", "window", "hop")


@dataclass(frozen=True)
class Start:
    """A model to start from.

    Attributes:
        path: its .keras file.
        contract: that it carries.
        config: that it was trained with, plain.
    """

    path: Path
    contract: Contract
    config: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Start:
        """Read what a model says of itself.

        Raises:
            ModelError: no .keras file, or none that edgeml has trained.
        """
        members = challenge.trained(
            path, remedy="a .keras of another origin is for --arch transfer, see docs/training.md"
        )
        try:
            config = json.loads(members[RUN])["config"]
            if not isinstance(config, dict):
                raise TypeError(config)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: {RUN}", expected="the config of its training", found=error) from error
        return cls(path, parse_contract(members[CONTRACT], where=f"{path}: {CONTRACT}"), config)

    @property
    def statistics(self) -> Statistics | None:
        """That its windows are normalised with."""
        return None if self.contract.reference is None else self.contract.reference.input


def enter(config: Config, dataset: Dataset) -> Config:
    """The config of a training that starts from a model: what is not given is as it was for that model.

    That goes for architecture, window, hop, and the split: whoever tested the old model tests the new one.

    Raises:
        ModelError: the model cannot be read.
        ConfigError: it hears other channels.
    """
    if config.init_from is None:
        return config
    start = Start.load(Path(config.init_from))
    heard, given = start.contract.input.names, tuple(channel.name for channel in dataset.channels)
    if heard != given:
        raise ConfigError(
            f"{start.path}: hears other channels", expected=first_of(given), found=first_of(heard)
        )
    known = {name: start.config.get(name) for name in _INHERITED if getattr(config, name) is None}
    if config.arch is None and not config.model:
        known["model"] = start.config.get("model", {})
    try:
        config = msgspec.convert({**config.as_dict(), **known}, Config)
    except msgspec.ValidationError as error:
        raise ModelError(
            f"{start.path}: {RUN}", expected="the config of its training", found=error
        ) from error
    if config.compare_to is not None:
        return config  # whose split it is then
    return challenge.divide(challenge.Champion.load(start.path), dataset, config)


def check(config: Config, dataset: Dataset) -> None:
    """See that nobody tests what the old model was trained on.

    Args:
        config: from `enter`.
        dataset: that is trained on.

    Raises:
        ConfigError: somebody would.
    """
    if config.init_from is None:
        return
    split = config.divide(dataset)
    seen = [group for group in split.test if group in challenge.Champion.load(Path(config.init_from)).seen]
    if seen:
        raise ConfigError(
            f"{config.init_from}: was trained on groups that are to test what comes of it",
            expected=f"test {split.by}s that it has not seen",
            found=first_of(seen),
            remedy="leave the split to --init-from, or give another in the config",
        )


def record(config: Config) -> dict[str, Any]:
    """For run.json: which file training started from; nothing where it did from none."""
    if config.init_from is None:
        return {}
    path = Path(config.init_from)
    return {"init_from": {"path": str(path.resolve()), "digest": digest_of(path.read_bytes())}}


def names(output: Output) -> list[str]:
    """What each number that a model says is called."""
    return [*output.labels] or [value.name for value in output.values or ()]


def transfer(model: Any, start: Start, output: Output) -> list[str]:
    """Give a model the weights of the one that it starts from.

    Layers are paired in their order. Of the last one, the column of an output goes to the output of the same
    name; whatever has no counterpart of its shape keeps its random weights.

    Args:
        model: Keras, new.
        start: where from.
        output: what the new model's contract will say of its outputs.

    Returns:
        A sentence for each layer that begins anew, wholly or in part.

    Raises:
        ModelError: Keras cannot load it.
        ConfigError: the layers are others.
    """
    import keras

    try:
        old = keras.saving.load_model(start.path, compile=False)
    except Exception as error:  # Keras raises whatever it runs into
        raise ModelError(f"{start.path}: Keras cannot load it", found=one_line(error)) from error
    mine, theirs = list(_learned(model)), list(_learned(old))
    if [type(layer).__name__ for layer in mine] != [type(layer).__name__ for layer in theirs]:
        raise ConfigError(
            f"{start.path}: another architecture",
            expected=f"{len(mine)} layers: {_kinds(mine)}",
            found=f"{len(theirs)}: {_kinds(theirs)}",
            remedy="leave out --arch and [model] to take its own",
        )
    anew = []
    for layer, source in zip(mine[:-1], theirs[:-1], strict=True):
        before, now = [[w.shape for w in one.weights] for one in (source, layer)]
        if before == now:
            layer.set_weights(source.get_weights())
        else:
            anew.append(f"{layer.name} begins anew: its weights are {now[0]}, not {before[0]}")
    return anew + _last(mine[-1], theirs[-1], names(output), names(start.contract.output))


def _last(layer: Any, source: Any, outputs: list[str], before: list[str]) -> list[str]:
    """The layer whose last axis is that of the outputs."""
    old, new = source.get_weights(), layer.get_weights()
    if outputs == before and all(a.shape == b.shape for a, b in zip(old, new, strict=True)):
        layer.set_weights(old)
        return []
    kept = [name for name in outputs if name in before]
    fits = all(
        a.shape[:-1] == b.shape[:-1] and (a.shape[-1], b.shape[-1]) == (len(before), len(outputs))
        for a, b in zip(old, new, strict=True)
    )
    if not fits or not kept:
        return [f"{layer.name} begins anew"]
    to, fro = [outputs.index(name) for name in kept], [before.index(name) for name in kept]
    for a, b in zip(old, new, strict=True):
        b[..., to] = np.asarray(a)[..., fro]
    layer.set_weights(new)
    others = [name for name in outputs if name not in before]
    return [f"{layer.name} begins anew for {first_of(others)}"] if others else []


def _learned(model: Any) -> Iterator[Any]:
    """The layers with weights, in order."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _learned(layer)
        elif layer.weights:
            yield layer


def _kinds(layers: list[Any]) -> str:
    return first_of([type(layer).__name__ for layer in layers])
