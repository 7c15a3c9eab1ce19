"""tflite-runtime, LiteRT's predecessor: for 32-bit Arm, where ai-edge-litert has no wheel. Needs numpy < 2."""

from __future__ import annotations

import numpy as np

from edge_sdk.errors import ConfigError, MissingExtraError
from edge_sdk.runtimes._interpreter import InterpreterRuntime


class Runtime(InterpreterRuntime):
    """A model in tflite-runtime."""

    name = "tflite_runtime"
    package = "tflite-runtime"

    def __init__(self, flatbuffer: bytes, threads: int = 1) -> None:
        if int(np.__version__.split(".")[0]) >= 2:
            raise ConfigError(
                "runtime 'tflite_runtime'",
                expected="numpy 1.x, which tflite-runtime was built for",
                found=f"numpy {np.__version__}",
                remedy="pip install 'edgeml-kit[tflite-runtime]' in an environment of its own",
            )
        try:
            from tflite_runtime.interpreter import Interpreter
        except ModuleNotFoundError as error:
            raise MissingExtraError("runtime 'tflite_runtime'", "tflite-runtime", error.name) from error
        super().__init__(Interpreter, flatbuffer, threads)
