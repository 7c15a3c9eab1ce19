"""LiteRT without its delegates: the reference for operators that TFLite Micro does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray


def run(flatbuffer: bytes, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Outputs [n, …] of inputs [n, …]."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=flatbuffer, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    found = []
    for n in range(len(inputs[0])):
        for details, values in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(details["index"], values[n])
        interpreter.invoke()
        found.append([interpreter.get_tensor(facts["index"]) for facts in interpreter.get_output_details()])
    return [np.stack(outputs) for outputs in zip(*found, strict=True)]
