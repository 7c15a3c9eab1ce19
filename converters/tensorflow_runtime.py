"""A .tflite in tf.lite, for comparison with the devices' runtimes: ``host:?runtime=tensorflow``."""

from __future__ import annotations

import warnings
from typing import Any

from converters.tensorflow import load_tensorflow
from edge_sdk.runtimes._interpreter import InterpreterRuntime


class Runtime(InterpreterRuntime):
    """A model in tf.lite."""

    name = "tensorflow"
    package = "tensorflow"

    @classmethod
    def probe(cls) -> Any:
        """The interpreter's class; raises MissingExtraError where TensorFlow is not installed."""
        return load_tensorflow().lite.Interpreter

    def _new(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces that tf.lite will move
            return super()._new()
