"""Where every tensor lies in the one static arena of a generated library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from converters import plan
from converters.c import overlap
from converters.c.lower import Program
from edge_sdk.graph import Graph

#: Other orders of placing buffers that are tried; a hundred buffers take a second for a thousand.
_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Memory:
    """The plan of an arena.

    Attributes:
        arena_bytes: its size.
        offset: of every activation, bytes, by the index of its tensor.
        scratch: where a kernel's working memory lies, bytes, by the index of its operator.
        floor_bytes: most bytes that are alive at once without working memory and sharing.
    """

    arena_bytes: int
    offset: dict[int, int]
    scratch: dict[int, int]
    floor_bytes: int


def _without_state(program: Program) -> Graph:
    """The graph without variables, which have places of their own."""
    ops = [
        replace(op, inputs=tuple(-1 if index in program.state else index for index in op.inputs))
        for op in program.graph.ops
    ]
    return replace(program.graph, ops=ops)


def _in_place(
    program: Program, gaps: Mapping[tuple[int, int], int]
) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, ...]]]:
    """Inputs whose place an output may take: those of its size; larger ones it may not overwrite else."""
    tensors = program.graph.tensors
    same: dict[int, tuple[int, ...]] = {}
    smaller: dict[int, tuple[int, ...]] = {}
    for step in program.steps:
        equal = tuple(i for i in step.in_place if tensors[i].bytes == tensors[step.output].bytes)
        others = tuple(i for i in step.in_place if (step.output, i) not in gaps)
        if equal:
            same[step.output] = equal
        elif others:
            smaller[step.output] = others
    return same, smaller


def place(program: Program) -> Memory:
    """Plan the arena: where that is exact, outputs take the place of inputs or overwrite what was read."""
    graph = _without_state(program)
    scratch = {step.op: step.scratch_bytes for step in program.steps if step.scratch_bytes}
    gaps = overlap.gaps(program)
    same, smaller = _in_place(program, gaps)
    layout = plan.plan(graph, scratch=scratch, in_place=same, gaps=gaps, tries=_TRIES)
    for output, inputs in smaller.items():
        # The rest of a larger place is lost for as long as the output lives: not always a gain.
        shared = {**same, output: inputs}
        tried = plan.plan(graph, scratch=scratch, in_place=shared, gaps=gaps, tries=_TRIES)
        if tried.arena_bytes < layout.arena_bytes:
            layout, same = tried, shared
    return Memory(
        arena_bytes=layout.arena_bytes,
        offset={tensor: buffer.offset for buffer in layout.buffers for tensor in buffer.tensors},
        scratch={buffer.first: buffer.offset for buffer in layout.buffers if not buffer.tensors},
        floor_bytes=plan.floor_bytes(graph),
    )
