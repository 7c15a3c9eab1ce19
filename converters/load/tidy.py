"""Takes out of a converted graph what a converter from another layout leaves behind.

    TRANSPOSE, RESHAPE, TRANSPOSE …    the one RESHAPE, or TRANSPOSE, that does the same
    BATCH_MATMUL with constants, ADD   FULLY_CONNECTED, which quantizes per channel and has a bias
    CONV_2D, (TRANSPOSE,) RELU         CONV_2D with its activation inside
    TRANSPOSE, PAD, TRANSPOSE          PAD of the axes where they were
    TRANSPOSE, MEAN                    MEAN along the axes where they were
    metadata of the converter          nothing: reduced_precision_support lets a runtime compute in float16,
                                       keep_stablehlo_constant hides weights from TensorFlow's quantizer

Values stay the same but for rounding; the loaders compare the result with the original afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from converters.load.editable import Editable
from edge_sdk.operators import NAMES

_CODE = schema.BuiltinOperator
_NONE = schema.ActivationFunctionType.NONE
_ACTIVATIONS = {
    _CODE.RELU: schema.ActivationFunctionType.RELU,
    _CODE.RELU6: schema.ActivationFunctionType.RELU6,
}
_WITH_ACTIVATION = (
    _CODE.CONV_2D,
    _CODE.DEPTHWISE_CONV_2D,
    _CODE.FULLY_CONNECTED,
    _CODE.ADD,
    _CODE.MUL,
    _CODE.SUB,
)
_MOVES = (_CODE.TRANSPOSE, _CODE.RESHAPE, _CODE.SQUEEZE, _CODE.EXPAND_DIMS)
#: More axes have more permutations than are worth trying.
_MOST_AXES = 5


def tidy(flatbuffer: bytes) -> bytes:
    """The same model with fewer operators; a model of several subgraphs is left as it is."""
    model = rewrite.unpack(flatbuffer)
    if len(model.subgraphs) != 1:
        return flatbuffer
    graph = Editable(model)
    for change in (_matmul, _activation, _pad, _undone, _moves, _mean):
        for op in list(graph.ops):
            change(graph, op)
    graph.drop_unread(_MOVES)
    graph.drop_unused()
    graph.drop_metadata()
    return rewrite.repack(model)


def rename(flatbuffer: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The same model with the original's names for its inputs and outputs, in tensors and signature.

    Tensors in between are called after their operator, such as ``conv_2d_1`` and ``conv_2d_1/constant_0``,
    where the converter called them after a class.
    """
    model = rewrite.unpack(flatbuffer)
    graph = Editable(model)
    for number, op in enumerate(graph.ops):
        layer = f"{NAMES[graph.code(op)].lower()}_{number}"
        for place, tensor in enumerate(op.outputs):
            graph.call(tensor, f"{layer}:{place}" if place else layer)
        for place, tensor in enumerate(op.inputs[1:]):
            if tensor >= 0 and graph.constant(tensor) is not None:
                graph.call(tensor, f"{layer}/constant_{place}")
    for indices, names in ((graph.graph.inputs, inputs), (graph.graph.outputs, outputs)):
        for tensor, name in zip(indices, names, strict=True):
            graph.graph.tensors[int(tensor)].name = name.encode()
    for signature in model.signatureDefs or []:
        for entries, indices, names in (
            (signature.inputs, graph.graph.inputs, inputs),
            (signature.outputs, graph.graph.outputs, outputs),
        ):
            known = {int(tensor): name for tensor, name in zip(indices, names, strict=True)}
            for entry in entries or []:
                entry.name = known.get(int(entry.tensorIndex), entry.name)
    return rewrite.repack(model)


def _matmul(graph: Editable, op: Any) -> None:
    if graph.code(op) != _CODE.BATCH_MATMUL or op.builtinOptions.adjX:
        return
    weights = graph.constant(op.inputs[1])
    if (
        weights is None
        or weights.ndim != 2
        or weights.dtype != np.float32
        or len(graph.shape(op.inputs[0])) < 2
    ):
        return
    if not op.builtinOptions.adjY:
        weights = np.ascontiguousarray(weights.T)
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = len(graph.shape(op.inputs[0])) > 2
    stored = graph.add_constant(graph.name(op.inputs[1]), weights)
    inputs, output, old = [op.inputs[0], stored, -1], op.outputs[0], [op]
    following = graph.only_reader(output)
    if following is not None and graph.code(following) == _CODE.ADD:
        other = next(i for i in following.inputs if i != output)
        bias = graph.constant(other)
        if bias is not None and bias.dtype == np.float32 and bias.size == len(weights) == bias.shape[-1]:
            inputs[2] = graph.add_constant(graph.name(other), bias.reshape(-1))
            options.fusedActivationFunction = following.builtinOptions.fusedActivationFunction
            output, old = following.outputs[0], [op, following]
    kind = schema.BuiltinOptions.FullyConnectedOptions
    graph.replace(old, [graph.operator(_CODE.FULLY_CONNECTED, inputs, output, options, kind)])


def _activation(graph: Editable, op: Any) -> None:
    if graph.code(op) not in _WITH_ACTIVATION or op.builtinOptions.fusedActivationFunction != _NONE:
        return
    last, following = op, graph.only_reader(op.outputs[0])
    if following is not None and graph.code(following) == _CODE.TRANSPOSE:
        last, following = following, graph.only_reader(following.outputs[0])
    if following is not None and graph.code(following) in _ACTIVATIONS:
        op.builtinOptions.fusedActivationFunction = _ACTIVATIONS[graph.code(following)]
        last.outputs = following.outputs
        graph.ops.remove(following)


def _pad(graph: Editable, op: Any) -> None:
    """Pad before a transpose instead of after it, where another one follows that may undo it."""
    axes = graph.constant(op.inputs[1]) if graph.code(op) == _CODE.TRANSPOSE else None
    if axes is None:
        return
    for pad in graph.readers(op.outputs[0]):
        third = graph.only_reader(pad.outputs[0])
        sizes = graph.constant(pad.inputs[1]) if graph.code(pad) == _CODE.PAD else None
        if sizes is None or third is None or graph.code(third) != _CODE.TRANSPOSE:
            continue
        source, target = op.inputs[0], pad.outputs[0]
        moved = np.empty_like(sizes)
        moved[axes] = sizes
        shape = tuple(size + int(more.sum()) for size, more in zip(graph.shape(source), moved, strict=True))
        stored = graph.add_constant(f"{graph.name(target)}_padding", moved)
        middle = graph.add_activation(target, f"{graph.name(target)}_padded", shape)
        padding = [source, stored], middle, pad.builtinOptions, pad.builtinOptionsType
        turning = [middle, op.inputs[1]], target, op.builtinOptions, op.builtinOptionsType
        graph.replace([pad], [graph.operator(_CODE.PAD, *padding), graph.operator(_CODE.TRANSPOSE, *turning)])


def _undone(graph: Editable, op: Any) -> None:
    """Let what reads a tensor that was transposed there and back read the one before, whoever else reads."""
    axes = graph.constant(op.inputs[1]) if graph.code(op) == _CODE.TRANSPOSE else None
    first = graph.writer(op.inputs[0])
    if (
        axes is None
        or first is None
        or graph.code(first) != _CODE.TRANSPOSE
        or op.outputs[0] in graph.results
    ):
        return
    before = graph.constant(first.inputs[1])
    if before is not None and np.array_equal(before[axes], np.arange(len(axes))):
        for reader in graph.readers(op.outputs[0]):
            reader.inputs = [first.inputs[0] if i == op.outputs[0] else i for i in reader.inputs]
        graph.ops.remove(op)


def _mean(graph: Editable, op: Any) -> None:
    if op not in graph.ops or graph.code(op) != _CODE.TRANSPOSE:
        return
    following = graph.only_reader(op.outputs[0])
    if following is None or graph.code(following) != _CODE.MEAN or following.builtinOptions.keepDims:
        return
    permutation, axes = graph.constant(op.inputs[1]), graph.constant(following.inputs[1])
    if permutation is None or axes is None:
        return
    dropped = {int(permutation[axis]) for axis in axes.reshape(-1)}
    kept = [int(axis) for axis in permutation if axis not in dropped]
    if kept == sorted(kept):
        moved = graph.add_constant(graph.name(following.inputs[1]), np.array(sorted(dropped), np.int32))
        following.inputs = [op.inputs[0], moved]
        graph.ops.remove(op)


def _moves(graph: Editable, first: Any) -> None:
    if first not in graph.ops or not _is_move(graph, first):
        return
    chain = [first]
    while (following := graph.only_reader(chain[-1].outputs[0])) is not None and _is_move(graph, following):
        chain.append(following)
    for length in range(len(chain), 0, -1):
        new = _shorter(graph, chain[:length])
        if new is not None:
            graph.replace(chain[:length], new)
            return


def _is_move(graph: Editable, op: Any) -> bool:
    if graph.code(op) not in _MOVES or graph.constant(op.inputs[0]) is not None:
        return False
    return graph.code(op) != _CODE.TRANSPOSE or graph.constant(op.inputs[1]) is not None


def _shorter(graph: Editable, chain: list[Any]) -> list[Any] | None:
    """What does the same as a chain of moves for less; None where nothing does.

    The numbers 0, 1, 2, … are sent through the chain, with a batch of two, so that its axis is seen to move.
    """
    source, target = chain[0].inputs[0], chain[-1].outputs[0]
    numbers = np.arange(np.prod(_doubled(graph.shape(source)))).reshape(_doubled(graph.shape(source)))
    moved = numbers
    try:
        for op in chain:
            if graph.code(op) == _CODE.TRANSPOSE:
                moved = moved.transpose(graph.constant(op.inputs[1]))
            else:
                moved = moved.reshape(_doubled(graph.shape(op.outputs[0])))
    except (ValueError, TypeError):
        return None
    if moved.shape != _doubled(graph.shape(target)):
        return None
    cost = sum(2 if graph.code(op) == _CODE.TRANSPOSE else 1 for op in chain)
    for axes in _permutations(numbers.ndim):
        if np.array_equal(numbers.transpose(axes).reshape(-1), moved.reshape(-1)):
            new = _rebuilt(graph, axes, source, target)
            cheaper = sum(2 if graph.code(op) == _CODE.TRANSPOSE else 1 for op in new) < cost
            return new if cheaper and new else None
    return None


def _permutations(rank: int) -> Iterator[tuple[int, ...]]:
    """The identity first."""
    return itertools.permutations(range(rank)) if rank <= _MOST_AXES else iter(())


def _rebuilt(graph: Editable, axes: tuple[int, ...], source: int, target: int) -> list[Any]:
    ops, shape = [], graph.shape(source)
    if axes != tuple(range(len(axes))):
        shape = tuple(shape[axis] for axis in axes)
        whole = shape == graph.shape(target)
        permuted = target if whole else graph.add_activation(target, f"{graph.name(target)}_permuted", shape)
        perm = graph.add_constant(f"{graph.name(target)}_axes", np.array(axes, np.int32))
        options = schema.TransposeOptionsT(), schema.BuiltinOptions.TransposeOptions
        ops.append(graph.operator(_CODE.TRANSPOSE, [source, perm], permuted, *options))
        source = permuted
    if shape != graph.shape(target) or not ops:
        wanted = np.array(graph.shape(target), np.int32)
        options = schema.ReshapeOptionsT(), schema.BuiltinOptions.ReshapeOptions
        options[0].newShape = wanted
        stored = graph.add_constant(f"{graph.name(target)}_shape", wanted)
        ops.append(graph.operator(_CODE.RESHAPE, [source, stored], target, *options))
    return ops


def _doubled(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (2, *shape[1:]) if shape and shape[0] == 1 else shape
