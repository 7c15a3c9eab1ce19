"""A model's inputs and outputs as generated C has them, under the names that LiteRT gives them."""

from __future__ import annotations

from typing import Literal

from edge_sdk.graph import Graph, Tensor
from edge_sdk.runtimes import Port


def ports(graph: Graph, side: Literal["inputs", "outputs"]) -> tuple[Port, ...]:
    """The tensors of one side, with their batch fixed.

    Their names are those of the first signature that is the main graph's, else their own; names that are none
    are unlike.
    """
    signature, names = _signed(graph, side)
    found: list[Port] = []
    taken: set[str] = set()
    for index in getattr(graph, side):
        tensor = graph.tensors[index]
        name = stem = names.get(index, tensor.name)
        copies = 0
        while name in taken:
            copies += 1
            name = f"{stem}_{copies}"
        taken.add(name)
        found.append(Port(name, tensor.shape, tensor.dtype, quantization(tensor), signature=signature))
    return tuple(found)


def steps(graph: Graph) -> tuple[float, ...]:
    """Of each output, one step of its quantization in its units; 0.0 where it has none.

    Of a float output that a DEQUANTIZE writes, the step of what that reads.
    """
    return tuple(_step(graph, index) for index in graph.outputs)


def quantization(tensor: Tensor) -> tuple[float, int]:
    """Scale and zero point of the whole tensor; scale 0.0 where there is none."""
    if tensor.dtype != "int8" or tensor.scale.size != 1:
        return 0.0, 0
    return float(tensor.scale[0]), int(tensor.zero_point[0])


def remembers(graph: Graph) -> bool:
    """Whether the model keeps anything from one inference to the next."""
    has_handle = any(op.name == "VAR_HANDLE" for op in graph.ops)
    return has_handle or any(tensor.variable for tensor in graph.tensors)


def _signed(graph: Graph, side: Literal["inputs", "outputs"]) -> tuple[str, dict[int, str]]:
    """The signature that names the main graph's tensors, and its names on one side by the tensor's index."""
    for signature in graph.signatures.values():
        is_whole = set(signature.inputs.values()) <= set(graph.inputs)
        if is_whole and set(signature.outputs.values()) <= set(graph.outputs):
            named = signature.inputs if side == "inputs" else signature.outputs
            return signature.name, {index: name for name, index in named.items()}
    return "", {}


def _step(graph: Graph, output: int) -> float:
    if graph.tensors[output].dtype == "int8":
        return quantization(graph.tensors[output])[0]
    for op in graph.ops:
        if op.name == "DEQUANTIZE" and output in op.outputs:
            return quantization(graph.tensors[op.inputs[0]])[0]
    return 0.0
