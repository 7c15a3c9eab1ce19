"""What the loaders of TensorFlow's formats share: TensorFlow itself, its converter, and what its errors mean.

TensorFlow is moving tf.lite out of its package, so few modules touch it, and all of them run in child
processes: the converter prints, leaks, and crashes on some models.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_sdk.errors import MissingExtraError, ModelError, one_line

#: The signature that every SavedModel written here has.
SIGNATURE = "serving_default"


def load_tensorflow() -> Any:
    """The module tensorflow, without start-up chatter and without a GPU, which small models do not need.

    Raises:
        MissingExtraError: it is not installed.
    """
    # Read by TensorFlow when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise MissingExtraError("TensorFlow", "convert", error.name) from error
    return tf


def convert_saved_model(folder: str, signature: str = SIGNATURE, *, ranges: bool = False) -> bytes:
    """Convert one signature of a SavedModel to a .tflite flatbuffer.

    Args:
        folder: the SavedModel.
        signature: its name.
        ranges: write int8 with the ranges of the model's own fake-quantization; False writes float32.

    Raises:
        ModelError: it cannot be converted to plain TFLite.
    """
    tf = load_tensorflow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
            if ranges:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            return bytes(converter.convert())
    except Exception as error:  # the converter raises its own types, ValueError, RuntimeError and more
        raise not_convertible(error) from error


def convert_function(
    function: Callable[..., Mapping[str, Any]],
    inputs: Mapping[str, tuple[Sequence[int | None], str]],
    variables: Callable[[], Sequence[Any]],
    *,
    ranges: bool = False,
) -> bytes:
    """Convert a Python function of tensors.

    It goes through a SavedModel: the converter's entry for functions writes garbage for Keras 3's weights.

    Args:
        function: takes the inputs by name, gives the outputs by name.
        inputs: shape and dtype of each, None for a dynamic size.
        variables: gives every tf.Variable that it reads; asked once it has been traced.
        ranges: as in `convert_saved_model`.

    Raises:
        ModelError: it cannot be traced with these shapes, or not be converted to plain TFLite.
    """
    tf = load_tensorflow()
    specs = {name: tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in inputs.items()}
    module = tf.Module()
    module.serve = tf.function(function, autograph=False)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            traced = module.serve.get_concrete_function(**specs)
            module.held = list(variables())
            tf.saved_model.save(module, folder, signatures={SIGNATURE: traced})
        except Exception as error:  # whatever a layer raises
            shapes = ", ".join(f"{name} {list(shape)}" for name, (shape, _) in inputs.items())
            raise ModelError(
                "the model does not run on inputs of these shapes", expected=shapes, found=_first_line(error)
            ) from error
        return convert_saved_model(folder, ranges=ranges)


def not_convertible(error: Exception) -> ModelError:
    """What the converter's error means, in one line."""
    if "TensorListReserve" in str(error):
        return ModelError(
            "TensorFlow cannot convert a loop with an open batch",
            expected="a batch of 1",
            remedy="export the model with inputs of shape [1, …], or hand over its .keras file",
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ops = next((line for line in lines if line.startswith(("Custom ops:", "Flex ops:"))), "")
    if not ops and "ops that can be supported" in str(error):
        ops = "operators that TFLite does not have"
    return ModelError(
        "TensorFlow cannot convert this model to plain TFLite",
        expected="operators that every TFLite runtime has",
        found=ops or _first_line(error),
        remedy="replace those layers",
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else one_line(error)
