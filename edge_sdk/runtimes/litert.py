"""LiteRT's interpreter (ai-edge-litert), with XNNPACK: the runtime wherever there is a wheel of it."""

from __future__ import annotations

from typing import Any

from edge_sdk.errors import MissingExtraError
from edge_sdk.runtimes._interpreter import InterpreterRuntime

PACKAGE = "ai-edge-litert"


class Runtime(InterpreterRuntime):
    """A model in LiteRT."""

    name = "litert"
    package = PACKAGE

    @classmethod
    def probe(cls) -> Any:
        """The interpreter's class; raises MissingExtraError where it is not installed."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "runtime 'litert'",
                "tflite-runtime",
                error.name,
                remedy="pip install ai-edge-litert; on 32-bit Arm, which it has no wheel for, "
                "pip install 'edgeml-kit[tflite-runtime]' and choose host:?runtime=tflite_runtime",
            ) from error
        return Interpreter
