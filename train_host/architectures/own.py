"""One's own Keras function as an architecture: it is called, and what it gives is checked before training."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_sdk.errors import ConfigError, EdgeError, one_line
from train_host.architectures import sources
from train_host.architectures.head import Head


def load(name: str) -> Callable[..., Any]:
    """The function of ``package.module:function``; the current folder is searched first.

    Raises:
        ConfigError: the module fails, or has no such function.
    """
    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:  # whatever the user's code raises
        raise ConfigError(f"architecture {name!r}: its module fails", found=_where(error, name)) from error
    if not callable(found):
        raise ConfigError(f"architecture {name!r}", expected="a function", found=type(found).__name__)
    return found  # type: ignore[no-any-return]


def call(function: Callable[..., Any], name: str, shape: tuple[int, ...], head: Head, *more: Any) -> Any:
    """The model that it makes.

    Args:
        function: the user's.
        name: as it was given.
        shape: of one window, without the batch axis.
        head: the last layer.
        more: statistics, and a dictionary of options.

    Raises:
        ConfigError: it fails, or what it gives cannot be trained, saved and converted.
    """
    statistics, options = more
    try:
        model = function(shape, head, statistics, **options)
    except EdgeError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise ConfigError(f"architecture {name!r} fails", found=_where(error, name)) from error
    _check(model, name, shape, head)
    return model


def _check(model: Any, name: str, shape: tuple[int, ...], head: Head) -> None:
    """Refuse what would fail after hours of training, or in a conversion."""
    what = f"architecture {name!r}"
    if not isinstance(model, keras.Model):
        raise ConfigError(f"{what}: result", expected="a keras.Model", found=type(model).__name__)
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise ConfigError(
            f"{what}: result", expected="one input and one output", remedy="begin with keras.Input(shape)"
        )
    for side, tensor, wanted in (("input", model.inputs[0], shape), ("output", model.outputs[0], None)):
        expected = [None, *(wanted or (head.units,))]
        if list(tensor.shape) != expected:
            remedy = None if side == "input" else "end with keras.Model(inputs, head(x))"
            raise ConfigError(
                f"{what}: shape of its {side}", expected=expected, found=list(tensor.shape), remedy=remedy
            )
    foreign = [layer for layer in _layers(model) if not type(layer).__module__.startswith("keras.")]
    lambdas = [layer for layer in _layers(model) if isinstance(layer, keras.layers.Lambda)]
    if foreign or lambdas:
        raise ConfigError(
            f"{what}: layer {(foreign + lambdas)[0].name!r}",
            expected="Keras' own layers, but Lambda: a .keras file has no code in it",
            found=type((foreign + lambdas)[0]).__name__,
        )
    said = np.asarray(model(np.zeros((2, *shape), np.float32), training=False))
    sure = head.activation == "softmax" and not np.allclose(said.sum(axis=-1), 1, atol=1e-3)
    if sure or (head.activation == "sigmoid" and not ((said >= 0) & (said <= 1)).all()):
        raise ConfigError(
            f"{what}: output",
            expected="probabilities",
            found=f"{float(said.min()):.3g} to {float(said.max()):.3g}",
            remedy="end with keras.Model(inputs, head(x))",
        )


def _layers(model: Any) -> Any:
    return model._flatten_layers(include_self=False)


def _where(error: Exception, name: str) -> str:
    """An error in one line, with the line of the user's file that it came from."""
    source = sources.of(name, {})
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if source and Path(frame.filename).resolve() == source.file]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {one_line(error)[:300]}{place}"
