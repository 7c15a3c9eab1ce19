"""Takes out of a converted graph what a converter from another layout leaves behind.

    TRANSPOSE, RESHAPE, TRANSPOSE …    the one RESHAPE, or TRANSPOSE, that does the same
    BATCH_MATMUL with constants, ADD   FULLY_CONNECTED, which quantizes per channel and has a bias
    CONV_2D, (TRANSPOSE,) RELU         CONV_2D with its activation inside
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
from numpy.typing import NDArray

from converters import rewrite
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
_MOST_AXES = 6


def tidy(flatbuffer: bytes) -> bytes:
    """The same model with fewer operators; a model of several subgraphs is left as it is."""
    model = rewrite.unpack(flatbuffer)
    if len(model.subgraphs) != 1:
        return flatbuffer
    graph = _Graph(model)
    for op in list(graph.ops):
        _matmul(graph, op)
    for op in list(graph.ops):
        _activation(graph, op)
    for op in list(graph.ops):
        _moves(graph, op)
    for op in list(graph.ops):
        _mean(graph, op)
    graph.drop_unused()
    graph.drop_metadata()
    return rewrite.repack(model)


def rename(flatbuffer: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The same model with the original's names for its inputs and outputs, in tensors and signature.

    Tensors in between are called after their operator, such as ``conv_2d_1`` and ``conv_2d_1/constant_0``,
    where the converter called them after a class.
    """
    model = rewrite.unpack(flatbuffer)
    graph = _Graph(model)
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


class _Graph:
    """The main subgraph of a model, for changing it."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.subgraphs[0]
        self.ops: list[Any] = list(self.graph.operators)
        for op in self.ops:
            op.inputs, op.outputs = [int(i) for i in op.inputs], [int(i) for i in op.outputs]
        self.graph.operators = self.ops

    def code(self, op: Any) -> int:
        entry = self.model.operatorCodes[op.opcodeIndex]
        return max(int(entry.builtinCode), int(entry.deprecatedBuiltinCode))

    def shape(self, tensor: int) -> tuple[int, ...]:
        shape = self.graph.tensors[tensor].shape
        return () if shape is None else tuple(map(int, shape))

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """A constant's values, float32 or integers; None for what is computed."""
        kinds = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT32: np.int32}
        facts = self.graph.tensors[tensor]
        data = self.model.buffers[facts.buffer].data
        if data is None or not len(data) or facts.type not in kinds:
            return None
        return np.frombuffer(bytes(bytearray(data)), kinds[facts.type]).reshape(self.shape(tensor))

    def add_constant(self, name: str, values: NDArray[Any]) -> int:
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.name, tensor.shape, tensor.buffer = (
            name.encode(),
            list(values.shape),
            len(self.model.buffers) - 1,
        )
        tensor.type = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_activation(self, like: int, name: str, shape: tuple[int, ...]) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), self.graph.tensors[like].type
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def name(self, tensor: int) -> str:
        return bytes(self.graph.tensors[tensor].name or b"").decode(errors="replace")

    def operator(self, code: int, inputs: list[int], output: int, options: Any = None, kind: int = 0) -> Any:
        entries = self.model.operatorCodes
        wanted = [i for i, e in enumerate(entries) if max(e.builtinCode, e.deprecatedBuiltinCode) == code]
        if not wanted:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            entries.append(entry)
            wanted = [len(entries) - 1]
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = wanted[0], inputs, [output]
        op.builtinOptions, op.builtinOptionsType = options, kind
        return op

    def only_reader(self, tensor: int) -> Any:
        """The operator that alone reads a tensor; None where several do, or the caller of the model."""
        readers = [op for op in self.ops if tensor in op.inputs]
        if len(readers) != 1 or tensor in self.graph.outputs or readers[0].inputs.count(tensor) != 1:
            return None
        return readers[0]

    def replace(self, old: list[Any], new: list[Any]) -> None:
        """Put operators in the place of the last of others."""
        at = self.ops.index(old[-1])
        self.ops[at : at + 1] = new
        for op in old[:-1]:
            self.ops.remove(op)

    def drop_unused(self) -> None:
        used = {*map(int, self.graph.inputs), *map(int, self.graph.outputs)}
        for op in self.ops:
            used |= {i for i in (*op.inputs, *op.outputs, *_intermediates(op)) if i >= 0}
        kept = sorted(used)
        place = {old: new for new, old in enumerate(kept)} | {-1: -1}
        buffers = {self.graph.tensors[i].buffer for i in kept}
        for tensor in (self.graph.tensors[i] for i in range(len(self.graph.tensors)) if i not in used):
            if tensor.buffer not in buffers:
                self.model.buffers[tensor.buffer].data = None
        self.graph.tensors = [self.graph.tensors[i] for i in kept]
        self.graph.inputs = [place[int(i)] for i in self.graph.inputs]
        self.graph.outputs = [place[int(i)] for i in self.graph.outputs]
        for op in self.ops:
            op.inputs, op.outputs = [place[i] for i in op.inputs], [place[i] for i in op.outputs]
            if _intermediates(op):
                op.intermediates = [place[i] for i in _intermediates(op)]
        for signature in self.model.signatureDefs or []:
            for each in (*(signature.inputs or []), *(signature.outputs or [])):
                each.tensorIndex = place[int(each.tensorIndex)]
        # The calibrator refuses a code that no operator has.
        codes = sorted({int(op.opcodeIndex) for op in self.ops})
        self.model.operatorCodes = [self.model.operatorCodes[code] for code in codes]
        for op in self.ops:
            op.opcodeIndex = codes.index(int(op.opcodeIndex))

    def drop_metadata(self) -> None:
        kept = [each for each in self.model.metadata or [] if bytes(each.name) == b"min_runtime_version"]
        for each in self.model.metadata or []:
            if each not in kept:
                self.model.buffers[each.buffer].data = None
        self.model.metadata = kept

    def call(self, tensor: int, name: str) -> None:
        """Name a tensor, unless its name says something already."""
        if "<locals>" in self.name(tensor) or not self.name(tensor):
            self.graph.tensors[tensor].name = name.encode()


def _intermediates(op: Any) -> list[int]:
    return [] if op.intermediates is None else [int(i) for i in op.intermediates]


def _matmul(graph: _Graph, op: Any) -> None:
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


def _activation(graph: _Graph, op: Any) -> None:
    if graph.code(op) not in _WITH_ACTIVATION or op.builtinOptions.fusedActivationFunction != _NONE:
        return
    last, following = op, graph.only_reader(op.outputs[0])
    if following is not None and graph.code(following) == _CODE.TRANSPOSE:
        last, following = following, graph.only_reader(following.outputs[0])
    if following is not None and graph.code(following) in _ACTIVATIONS:
        op.builtinOptions.fusedActivationFunction = _ACTIVATIONS[graph.code(following)]
        last.outputs = following.outputs
        graph.ops.remove(following)


def _mean(graph: _Graph, op: Any) -> None:
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


def _moves(graph: _Graph, first: Any) -> None:
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


def _is_move(graph: _Graph, op: Any) -> bool:
    if graph.code(op) not in _MOVES or graph.constant(op.inputs[0]) is not None:
        return False
    return graph.code(op) != _CODE.TRANSPOSE or graph.constant(op.inputs[1]) is not None


def _shorter(graph: _Graph, chain: list[Any]) -> list[Any] | None:
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


def _rebuilt(graph: _Graph, axes: tuple[int, ...], source: int, target: int) -> list[Any]:
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
