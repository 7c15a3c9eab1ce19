"""Finds a log-mel spectrogram in a graph: the operators ahead of the network, as one kernel call.

It is followed from the input, operator by operator (`converters.c.spectrogram`). Whatever is not understood
ends the search, and what was found up to there counts only if nothing else reads from its inside.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters import rewrite
from converters.c.batches import fix_batch
from converters.c.fold import fold
from converters.c.layers import LogMel
from converters.c.operation import Operation, Step, UnsupportedError
from converters.c.spectrogram import NotSoundError, Rows, Value, follow, samples
from edge_sdk.graph import Graph, Op, read_graph

#: Of the operator that stands for a spectrogram.
NAME = "LOG_MEL"
_DAMAGE = (struct.error, TypeError, ValueError, AttributeError, LookupError, RecursionError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Found:
    """A spectrogram in a graph.

    Attributes:
        layer: what it computes.
        input: the tensor of its samples, an input of the graph.
        output: the tensor of its features.
        ops: indices of the operators that it consists of.
    """

    layer: LogMel
    input: int
    output: int
    ops: frozenset[int]

    def step(self) -> Step:
        """The kernel call, which belongs to the last of the operators."""
        scratch_bytes = 4 * self.layer.spectrum.length
        return Step(max(self.ops), self.layer, (self.input,), self.output, scratch_bytes)


def read(flatbuffer: bytes) -> Found | None:
    """The spectrogram that a model begins with, if it does; in a damaged one there is none.

    Args:
        flatbuffer: of the model.
    """
    try:
        options = [op.builtinOptions for op in rewrite.unpack(flatbuffer).subgraphs[0].operators or []]
        return find(fold(fix_batch(read_graph(flatbuffer)), options), options)
    except _DAMAGE:
        return None


def find(graph: Graph, options: Sequence[Any]) -> Found | None:
    """The spectrogram that a graph begins with, if it does.

    Args:
        graph: with sizes known and folded.
        options: of each operator, as the schema has them.
    """
    if len(graph.inputs) != 1:
        return None
    source = samples(graph.tensors[graph.inputs[0]])
    if source is None:
        return None
    known: dict[int, Value] = {graph.inputs[0]: source}
    ops: dict[int, Op] = {}
    for op in graph.ops:
        if not any(index in known for index in op.inputs) or len(op.outputs) != 1:
            continue
        try:
            known[op.outputs[0]] = follow(Operation(op, graph, options[op.index]), known)
        except (NotSoundError, UnsupportedError, ValueError, LookupError, TypeError):
            continue  # malformed operators are named by who lowers them
        ops[op.outputs[0]] = op
    return _whole(graph, known, ops)


def fuse(graph: Graph, found: Found) -> Graph:
    """The same graph with the spectrogram as its last operator; the others have neither input nor output."""
    last = found.step().op
    ops = [replace(op, inputs=(), outputs=()) if op.index in found.ops else op for op in graph.ops]
    ops[last] = replace(ops[last], name=NAME, inputs=(found.input,), outputs=(found.output,))
    return replace(graph, ops=ops)


def _whole(graph: Graph, known: Mapping[int, Value], ops: Mapping[int, Op]) -> Found | None:
    """The longest way from the samples to features that nothing else reads from."""
    for output in sorted(ops, key=lambda index: ops[index].index, reverse=True):
        value = known[output]
        if not isinstance(value, Rows) or value.kind != "features":
            continue
        inside, waiting = set[int](), [output]
        while waiting:
            op = ops.get(waiting.pop())
            if op is not None and op.index not in inside:
                inside.add(op.index)
                waiting += [index for index in op.inputs if index in known]
        hidden = {index for op in graph.ops if op.index in inside for index in op.outputs} - {output}
        read = {index for op in graph.ops if op.index not in inside for index in op.inputs}
        if not (hidden | {graph.inputs[0]}) & (read | set(graph.outputs)):
            return Found(value.layer, graph.inputs[0], output, frozenset(inside))
    return None
