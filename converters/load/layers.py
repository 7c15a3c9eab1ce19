"""What the layers of a Keras model tell: which prepare the input, which cannot be converted, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.errors import ModelError

#: Operations that the converter handles at a fixed batch only.
_FIXED_BATCH = ("STFT", "RFFT", "FFT", "FFT2", "ISTFT", "IRFFT", "STFTSpectrogram", "MelSpectrogram")

#: What one layer may give for one window, as many as a .tflite may need for an inference.
_MOST_NUMBERS = 128 << 20


def every(model: Any) -> Iterator[Any]:
    """Every layer and operation, those of nested models included."""
    yield from model._flatten_layers(include_self=False)
    for layer in model._flatten_layers():
        yield from getattr(layer, "operations", ())


def preprocessing(model: Any) -> tuple[str, ...]:
    """Names of the layers that prepare the input, whatever operators they become."""
    return tuple(dict.fromkeys(layer.name for layer in every(model) if _prepares(layer)))


def _prepares(layer: Any) -> bool:
    """Whether it learned nothing: a layer made for that, or a model in the model that has no weights."""
    if ".preprocessing." in type(layer).__module__:
        return True
    return bool(getattr(layer, "operations", ())) and not layer.weights


def needs_fixed_batch(keras: Any, model: Any) -> bool:
    """Whether it has recurrent or spectrogram layers, which do not convert with a dynamic batch."""
    recurrent = keras.layers.RNN
    return any(isinstance(it, recurrent) or type(it).__name__ in _FIXED_BATCH for it in every(model))


def check(path: Path, model: Any, tensors: Mapping[str, Any]) -> None:
    """Refuse a model that cannot be converted, naming the layer; mixed precision is undone.

    Args:
        path: its file.
        model: the model.
        tensors: symbolic inputs and outputs by name.

    Raises:
        ModelError: weights are not finite, sizes are zero, a layer keeps a state or is quantized.
    """
    for weight in model.weights:
        _check_weight(path, weight)
    for name, tensor in tensors.items():
        if 0 in sizes(tensor):
            raise ModelError(f"{path}: {name} is empty", found=f"shape {list(sizes(tensor))}")
        if dtype(tensor) == "string":
            raise ModelError(f"{path}: {name} is text", expected="numbers")
    for layer in every(model):
        _check_layer(path, layer)
        _check_size(path, layer)


def sizes(tensor: Any) -> tuple[int | None, ...]:
    """Shape of a symbolic tensor of Keras 2 or 3, None for an open size."""
    return tuple(None if size is None else int(size) for size in tuple(tensor.shape))


def dtype(tensor: Any) -> str:
    """Its dtype, numpy's name."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def _check_weight(path: Path, weight: Any) -> None:
    values, name = np.asarray(weight), getattr(weight, "path", weight.name)
    if 0 in values.shape:
        raise ModelError(f"{path}: {name} is empty", found=f"shape {list(values.shape)}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ModelError(
            f"{path}: NaN or infinity among the weights",
            expected="finite numbers",
            found=name,
            remedy="train it again, with a smaller learning rate",
        )


def _check_layer(path: Path, layer: Any) -> None:
    policy = getattr(layer, "dtype_policy", None)
    if getattr(policy, "quantization_mode", None):
        raise ModelError(
            f"{path}: the layer {layer.name!r} is quantized already",
            expected="float weights",
            found=getattr(policy, "name", None),
            remedy="save the model before quantize() is called",
        )
    if getattr(layer, "compute_dtype", "float32") in ("float16", "bfloat16"):
        _compute_in_float32(path, layer)
    if getattr(layer, "stateful", False):
        raise ModelError(
            f"{path}: the layer {layer.name!r} remembers from one window to the next",
            expected="stateful=False",
            remedy="build it so with the same weights, then save it again",
        )


def _check_size(path: Path, layer: Any) -> None:
    """One number in a configuration can ask for terabytes."""
    try:
        output = layer.output
    except (AttributeError, ValueError):  # used in several places, or in none
        return
    for tensor in output if isinstance(output, list | tuple) else [output]:
        count = math.prod(size or 1 for size in sizes(tensor)) if hasattr(tensor, "shape") else 0
        if count > _MOST_NUMBERS:
            raise ModelError(
                f"{path}: the layer {layer.name!r} gives too much",
                expected=f"at most {_MOST_NUMBERS:,} numbers",
                found=f"{count:,}",
            )


def _compute_in_float32(path: Path, layer: Any) -> None:
    """Undo mixed precision, which is for training on graphics cards; the weights are float32 already."""
    if layer.dtype != "float32" or not hasattr(type(layer), "dtype_policy"):
        raise ModelError(
            f"{path}: the layer {layer.name!r} computes in {layer.compute_dtype}",
            expected="float32, or a mixed policy of Keras 3",
            remedy="build the model with float32 layers and the same weights",
        )
    layer.dtype_policy = "float32"
