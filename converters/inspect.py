"""What a model is, costs and promises, read from its file: no TensorFlow, no runtime, nothing is run."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import boards
from converters.plan import plan
from converters.quantize import LEARNED
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, Op, Tensor, read_graph
from edge_sdk.schema import read_contract
from edge_sdk.verify import check_file

#: Operators whose multiplications are counted; each has its weights as second input.
_COUNTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


@dataclass(frozen=True)
class Facts:
    """What is known of a model file without running it.

    Attributes:
        file: its path.
        size_bytes: of the whole file.
        digest: of the flatbuffer.
        inputs: one dict each of name, dtype, shape (dynamic axes -1), scale, zero_point.
        outputs: the same.
        ops: how often each operator occurs.
        macs: multiply-accumulates an inference.
        parameters: numbers in the learned layers: weights and biases.
        arena_bytes: planned memory for activations, bytes.
        contract: the one in the file, or None.
        boards: whether it runs on each board, and what speaks for or against it.
        notes: one line each.
    """

    file: Path
    size_bytes: int
    digest: str | None
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    ops: dict[str, int]
    macs: int | None
    parameters: int | None
    arena_bytes: int | None
    contract: Contract | None
    boards: dict[str, boards.Fit]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The object of ``edgeml inspect --json``."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["file"] = str(self.file)
        plain["bytes"] = plain.pop("size_bytes")
        plain["contract"] = None if self.contract is None else self.contract.as_dict()
        plain["boards"] = {name: dataclasses.asdict(fit) for name, fit in self.boards.items()}
        return plain


def inspect(file: Path, board: str | None = None) -> Facts:
    """Read a .tflite, or the contract of a .keras.

    Args:
        file: the model.
        board: judge this board only; None judges all.

    Raises:
        ModelError: the file is not a model, or is damaged.
        ContractError: its contract is malformed.
        UnknownNameError: no such board.
    """
    chosen = boards.find(board) if board else boards.load()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read", found=error.strerror) from error
    if file.suffix == ".keras":
        return _inspect_keras(file, len(data))
    parts = modelfile.split(data)
    contract = check_file(parts, str(file))
    graph = read_graph(parts.flatbuffer)
    layout = plan(graph)
    cost = boards.Cost(
        flash_bytes=len(parts.flatbuffer),
        arena_bytes=layout.arena_bytes,
        ops=frozenset(op.custom_code or op.name for op in graph.ops),
        weights=frozenset(tensor.dtype for op in graph.ops for tensor in _weights(graph, op)[:1]),
        activations=frozenset(graph.tensors[op.outputs[0]].dtype for op in graph.ops if _weights(graph, op)),
    )
    return Facts(
        file=file,
        size_bytes=len(data),
        digest=parts.digest,
        inputs=[_port(graph, i, "inputs") for i in graph.inputs],
        outputs=[_port(graph, i, "outputs") for i in graph.outputs],
        ops=dict(Counter(op.name for op in graph.ops).most_common()),
        macs=macs_of(graph),
        parameters=parameters_of(graph),
        arena_bytes=layout.arena_bytes,
        contract=contract,
        boards={name: boards.judge(board, cost) for name, board in chosen.items()},
        notes=() if contract else ("no contract: what its inputs mean is not known",),
    )


def macs_of(graph: Graph) -> int:
    """Multiply-accumulates of one inference in convolutions and dense layers; dynamic axes count as 1."""
    return sum(_macs(graph, op) for op in graph.ops)


def parameters_of(graph: Graph) -> int:
    """Numbers in the weights and biases of the learned layers; shared ones count once."""
    found = {tensor.index: tensor.elements for op in graph.ops for tensor in _weights(graph, op)}
    return sum(found.values())


def _weights(graph: Graph, op: Op) -> list[Tensor]:
    """The constants of a learned layer, weights first; float16 ones lie behind a DEQUANTIZE."""
    if op.name not in LEARNED:
        return []
    # The first input of a transposed convolution is the shape of its output.
    inputs = op.inputs[1:] if op.name == "TRANSPOSE_CONV" else op.inputs
    widened = {o.outputs[0]: o.inputs[0] for o in graph.ops if o.name == "DEQUANTIZE"}
    tensors = (graph.tensors[widened.get(i, i)] for i in inputs if i >= 0)
    return [tensor for tensor in tensors if tensor.constant]


def _macs(graph: Graph, op: Op) -> int:
    if op.name not in _COUNTED or len(op.inputs) < 2:
        return 0
    weights, output = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    if len(weights.shape) < 2:
        return 0
    if op.name == "FULLY_CONNECTED":
        return output.elements * weights.shape[-1]
    if (
        op.name == "DEPTHWISE_CONV_2D"
    ):  # weights [1, height, width, channels]: each output sees its own channel
        return output.elements * math.prod(weights.shape[1:3])
    if op.name == "TRANSPOSE_CONV":  # weights [out, height, width, in]: each input spreads over all but `in`
        return (
            graph.tensors[op.inputs[2]].elements * math.prod(weights.shape[:3]) if len(op.inputs) > 2 else 0
        )
    return output.elements * math.prod(weights.shape[1:])  # weights [out, height, width, in]


def _port(graph: Graph, index: int, side: str) -> dict[str, Any]:
    tensor = graph.tensors[index]
    signature = next(iter(graph.signatures.values()), None)
    names = {i: name for name, i in getattr(signature, side).items()} if signature else {}
    single = tensor.scale.size == 1
    return {
        "name": names.get(index, tensor.name),
        "dtype": tensor.dtype,
        "shape": list(tensor.shape_signature),
        "scale": float(tensor.scale[0]) if single else None,
        "zero_point": int(tensor.zero_point[0]) if single and tensor.zero_point.size else None,
    }


def _inspect_keras(file: Path, size: int) -> Facts:
    return Facts(
        file=file,
        size_bytes=size,
        digest=None,
        inputs=[],
        outputs=[],
        ops={},
        macs=None,
        parameters=None,
        arena_bytes=None,
        contract=read_contract(file),
        boards={},
        notes=("a Keras model: costs are known once it is converted, with edgeml convert",),
    )
