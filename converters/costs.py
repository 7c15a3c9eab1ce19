"""What a model asks of whatever runs it, counted from its graph: multiplications, parameters, memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from converters import arena
from converters.plan import Plan, plan
from converters.prefix import LEARNED
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, Op, Tensor, read_graph

#: Operators whose multiplications are counted; each has its weights as second input.
_COUNTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
#: Operators that may have no output.
_SILENT = frozenset({"ASSIGN_VARIABLE", "CALL_ONCE", "CALL", "CUSTOM", "IF", "WHILE", "HASHTABLE_IMPORT"})
#: A tensor larger than this is damage, not a model, bytes.
_LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model asks of a board.

    Attributes:
        flash_bytes: size of the flatbuffer, bytes.
        arena_bytes: planned memory for activations, bytes.
        ops: names of its operators, custom ones by their code.
        weights: dtypes of the weights of its learned layers.
        activations: dtypes that they compute in.
        results: every operator with the dtype of what it writes.
        tflm_bytes: arena that TFLite Micro needs, at most: the plan and its own bookkeeping, bytes.
        peak: the operator at which most activations are alive, for people.
        traits: peculiarities that one engine or another refuses, as `boards.toml` names them.
        unknown: activations with a dynamic axis other than the batch; their memory is counted too low.
        fused: what it asks of an engine that has the spectrogram ahead of it as one kernel; None without one.
    """

    flash_bytes: int
    arena_bytes: int
    ops: frozenset[str]
    weights: frozenset[str]
    activations: frozenset[str]
    results: frozenset[tuple[str, str]] = frozenset()
    tflm_bytes: int = 0
    peak: str = ""
    traits: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    fused: Cost | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator's share.

    Attributes:
        index: in the order of execution.
        op: its operator, custom ones by their code.
        name: of the tensor that it writes.
        shape: of that tensor; dynamic axes -1.
        dtype: of that tensor.
        macs: multiply-accumulates an inference.
        parameters: numbers in its weights and biases.
        weight_bytes: their size, bytes.
        alive_bytes: activations alive while it runs, bytes.
    """

    index: int
    op: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    macs: int
    parameters: int
    weight_bytes: int
    alive_bytes: int


def cost_of(model: bytes | Graph, flash_bytes: int | None = None) -> Cost:
    """What a model asks of a board.

    Args:
        model: a .tflite flatbuffer, or its graph.
        flash_bytes: size of the flatbuffer, where a graph is given; the size of its constants if None.

    Raises:
        ModelError: it is damaged.
    """
    if isinstance(model, bytes):
        graph, size = read_graph(model), len(model)
    else:
        graph = model
        size = sum(t.bytes for t in graph.tensors if t.constant) if flash_bytes is None else flash_bytes
    check(graph)
    layout = plan(graph)
    wide = _widened(graph)
    learned = [(op, weights_of(graph, op, wide)) for op in graph.ops]
    return Cost(
        flash_bytes=size,
        arena_bytes=layout.arena_bytes,
        ops=frozenset(title(op) for op in graph.ops),
        weights=frozenset(tensors[0].dtype for _, tensors in learned if tensors),
        activations=frozenset(graph.tensors[op.outputs[0]].dtype for op, tensors in learned if tensors),
        results=frozenset((title(op), graph.tensors[i].dtype) for op in graph.ops for i in op.outputs[:1]),
        tflm_bytes=arena.tflm_bytes(graph),
        peak=_peak(graph, layout),
        traits=frozenset(trait for op, tensors in learned for trait in _traits(graph, op, tensors)),
        unknown=unknown_sizes(graph),
        fused=_fused(graph, model) if isinstance(model, bytes) else None,
    )


def _fused(graph: Graph, flatbuffer: bytes) -> Cost | None:
    """The cost without the operators of a spectrogram, but with its memory."""
    if not any(op.name == "RFFT2D" for op in graph.ops):
        return None
    from converters.c import front_end  # it needs the schema, which takes a while to import

    found = front_end.read(flatbuffer)
    if found is None:
        return None
    fused = front_end.fuse(graph, found)
    ops = [replace(op, index=n) for n, op in enumerate(op for op in fused.ops if op.inputs or op.outputs)]
    cost = cost_of(replace(fused, ops=ops), len(flatbuffer))
    results = frozenset((name, dtype) for name, dtype in cost.results if name != front_end.NAME)
    return replace(cost, ops=cost.ops - {front_end.NAME}, results=results)


def layers_of(graph: Graph) -> list[Layer]:
    """Every operator's share, in the order of execution."""
    layout, wide = plan(graph), _widened(graph)
    rows = []
    for op in graph.ops:
        held = weights_of(graph, op, wide)
        written = graph.tensors[op.outputs[0]] if op.outputs else None
        rows.append(
            Layer(
                index=op.index,
                op=title(op),
                name=written.name if written else "",
                shape=written.shape_signature if written else (),
                dtype=written.dtype if written else "",
                macs=_macs(graph, op),
                parameters=sum(tensor.elements for tensor in held),
                weight_bytes=sum(tensor.bytes for tensor in held),
                alive_bytes=layout.alive_bytes(op.index),
            )
        )
    return rows


def macs_of(graph: Graph) -> int:
    """Multiply-accumulates of an inference in convolutions, dense layers, fused LSTMs; dynamic axes are 1."""
    return sum(_macs(graph, op) for op in graph.ops)


def macs_by_op(graph: Graph) -> list[int]:
    """`macs_of`, operator by operator."""
    return [_macs(graph, op) for op in graph.ops]


def parameters_of(graph: Graph) -> int:
    """Numbers in the weights and biases of the learned layers; shared ones count once."""
    wide = _widened(graph)
    found = {tensor.index: tensor.elements for op in graph.ops for tensor in weights_of(graph, op, wide)}
    return sum(found.values())


def weights_of(graph: Graph, op: Op, widened: Mapping[int, int] | None = None) -> list[Tensor]:
    """The constants of a learned layer, weights first; float16 ones lie behind a DEQUANTIZE.

    Args:
        graph: the model.
        op: one of its operators.
        widened: `_widened` of the graph, where many operators are asked about.
    """
    if op.name not in LEARNED:
        return []
    # The first input of a transposed convolution is the shape of its output.
    inputs = op.inputs[1:] if op.name == "TRANSPOSE_CONV" else op.inputs
    wide = _widened(graph) if widened is None else widened
    tensors = (graph.tensors[wide.get(i, i)] for i in inputs if i >= 0)
    return [tensor for tensor in tensors if tensor.constant]


def title(op: Op) -> str:
    """An operator's name; of a custom one its code."""
    return op.custom_code or op.name


def unknown_sizes(graph: Graph) -> tuple[str, ...]:
    """Activations with a dynamic axis behind the first one: what they need is known at run time only."""
    return tuple(
        f"{tensor.name} {list(tensor.shape_signature)}"
        for tensor in graph.tensors
        if not tensor.constant and any(axis < 0 for axis in tensor.shape_signature[1:])
    )


def check(graph: Graph) -> None:
    """Refuse a graph that no writer makes, before anything is computed from it.

    Raises:
        ModelError: an operator lacks what every operator of its kind has, or a size is absurd.
    """
    for op in graph.ops:
        wanted = 2 if op.name in _COUNTED else 0 if op.name in _SILENT or op.name == "VAR_HANDLE" else 1
        present = op.inputs[:wanted] if op.name != "TRANSPOSE_CONV" else op.inputs[:3]
        if len(op.inputs) < wanted or -1 in present or -1 in op.outputs:
            raise ModelError("the TFLite flatbuffer is damaged", found=f"{op.name} {op.index} without input")
        if not op.outputs and op.name not in _SILENT:
            raise ModelError("the TFLite flatbuffer is damaged", found=f"{op.name} {op.index} without output")
    for tensor in graph.tensors:
        # In Python's own integers: the product of a damaged shape wraps around in 64 bits.
        if math.prod(tensor.shape) * 8 > _LARGEST:
            raise ModelError(
                "the TFLite flatbuffer is damaged", found=f"tensor {tensor.index} of shape {tensor.shape}"
            )


def _widened(graph: Graph) -> dict[int, int]:
    """What each DEQUANTIZE reads, by what it writes."""
    return {op.outputs[0]: op.inputs[0] for op in graph.ops if op.name == "DEQUANTIZE"}


def _macs(graph: Graph, op: Op) -> int:
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        # Behind the input four matrices for it, then four for what the layer said last: once a step.
        matrices = [graph.tensors[index] for index in op.inputs[1:9] if index >= 0]
        steps = graph.tensors[op.inputs[0]].elements // max(1, graph.tensors[op.inputs[2]].shape[-1])
        return steps * sum(tensor.elements for tensor in matrices)
    if op.name not in _COUNTED or len(op.inputs) < 2:
        return 0
    weights, output = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    if len(weights.shape) < 2:
        return 0
    if op.name == "FULLY_CONNECTED":
        return output.elements * weights.shape[-1]
    if op.name == "DEPTHWISE_CONV_2D":
        # weights [1, height, width, channels]: each output sees its own channel
        return output.elements * math.prod(weights.shape[1:3])
    if op.name == "TRANSPOSE_CONV":
        # weights [out, height, width, in]: each input spreads over all but `in`
        spread = math.prod(weights.shape[:3])
        return graph.tensors[op.inputs[2]].elements * spread if len(op.inputs) > 2 else 0
    return output.elements * math.prod(weights.shape[1:])  # weights [out, height, width, in]


def _traits(graph: Graph, op: Op, held: list[Tensor]) -> list[str]:
    """Peculiarities of one learned layer."""
    if not held:
        return []
    weights, computed = held[0], graph.tensors[op.outputs[0]].dtype
    found = []
    if weights.dtype in ("int8", "int4", "uint8") and computed == "float32":
        if weights.index not in op.inputs:
            return ["widened"]
        found.append("hybrid")
        if op.name == "FULLY_CONNECTED" and np.size(weights.scale) > 1:
            found.append("hybrid per-channel FULLY_CONNECTED")
    return found


def _peak(graph: Graph, layout: Plan) -> str:
    if not graph.ops:
        return ""
    op = max(graph.ops, key=lambda op: layout.alive_bytes(op.index))
    shape = list(graph.tensors[op.outputs[0]].shape) if op.outputs else []
    return f"operator {op.index} {title(op)} {shape}"
