"""tflite-runtime, the predecessor of LiteRT: for 32-bit Arm, which LiteRT has no wheel for. Needs numpy 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_sdk.errors import ConfigError, MissingExtraError
from edge_sdk.runtimes._interpreter import InterpreterRuntime


class Runtime(InterpreterRuntime):
    """A model in tflite-runtime."""

    name = "tflite_runtime"
    package = "tflite-runtime"

    @classmethod
    def probe(cls) -> Any:
        """The interpreter's class; raises where it is not installed or numpy is not 1.x."""
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
        return Interpreter
