"""Batches that a file leaves open: 1, but for what lies between SPACE_TO_BATCH_ND and its inverse.

Such a file says 1 everywhere, and TFLite Micro believes it: there such a model computes garbage.
"""

from __future__ import annotations

import math
from dataclasses import replace

from edge_sdk.graph import Graph, Op

_BLOCKS = frozenset({"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"})


def fix_batch(graph: Graph) -> Graph:
    """The same graph with the batch of each activation that has an open one worked out for one input."""
    if not any(op.name in _BLOCKS for op in graph.ops):
        return graph
    batch: dict[int, int] = {}
    for op in graph.ops:
        found = _batch(graph, op, batch)
        batch.update(dict.fromkeys(op.outputs, found))
    tensors = [
        replace(t, shape=(batch[t.index], *t.shape[1:]))
        if t.index in batch and t.shape_signature[:1] == (-1,)
        else t
        for t in graph.tensors
    ]
    return replace(graph, tensors=tensors)


def _batch(graph: Graph, op: Op, batch: dict[int, int]) -> int:
    of = max((batch.get(index, 1) for index in op.inputs), default=1)
    block = graph.tensors[op.inputs[1]].data if op.name in _BLOCKS else None
    if block is None:
        return of
    parts = math.prod(int(size) for size in block.reshape(-1))
    return of * parts if op.name == "SPACE_TO_BATCH_ND" else max(of // max(parts, 1), 1)
