"""A memory plan for a model's activations: what an arena needs at least, by liveness.

A plan, not a measurement: a runtime adds its own bookkeeping and the scratch memory of its kernels.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from edge_sdk.graph import Graph

ALIGNMENT = 16
#: Operators whose output is the input's bytes under another shape: every planner lets them share.
_IN_PLACE = frozenset({"RESHAPE", "EXPAND_DIMS", "SQUEEZE"})
#: Bytes between the starts of two buffers, by the tensors of the one that is written and of the one read.
_Overlaps = Mapping[tuple[tuple[int, ...], tuple[int, ...]], int]


@dataclass(frozen=True, slots=True)
class Buffer:
    """A place in the arena.

    Attributes:
        tensors: the tensors that live in it, one after the other under another shape; none for scratch.
        offset: from the start of the arena, bytes.
        size: bytes, a multiple of `ALIGNMENT`.
        first: index of the operator that writes it; -1 for an input.
        last: index of the last operator that reads it.
    """

    tensors: tuple[int, ...]
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every activation lies.

    Attributes:
        buffers: in the order in which they were placed, largest first.
        arena_bytes: end of the highest buffer.
        alive: bytes alive before the first operator, during each, and after the last.
    """

    buffers: tuple[Buffer, ...]
    arena_bytes: int
    alive: tuple[int, ...]

    @property
    def floor_bytes(self) -> int:
        """Most bytes alive at once: no plan can do with less."""
        return max(self.alive, default=0)

    def alive_bytes(self, step: int) -> int:
        """Activations alive while the operator of that index runs, bytes."""
        return self.alive[step + 1]


def plan(
    graph: Graph,
    *,
    tflm: bool = False,
    scratch: Mapping[int, int] | None = None,
    in_place: Mapping[int, Sequence[int]] | None = None,
    gaps: Mapping[tuple[int, int], int] | None = None,
    tries: int = 0,
) -> Plan:
    """Place every activation: largest first, each at the lowest offset that is free while it lives.

    Dynamic axes count as 1.

    Args:
        graph: the model.
        tflm: as TFLite Micro does it: a RESHAPE is copied, weights are widened at every inference, and of
            equal sizes the latest is placed first.
        scratch: bytes that a kernel needs while it runs, by the index of its operator.
        in_place: tensors that an output may take the place of, by the output; it does so where one is as
            large and nothing reads it any more.
        gaps: bytes that an input has to begin behind an output to be overwritten while both live, by both:
            (output, input); where nothing reads it any more.
        tries: other orders that are tried where the first one needs more than is alive at once.

    Source: greedy by size, Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference.
    """
    lifetimes = _lifetimes(graph, tflm)
    if in_place:
        lifetimes = _shared(lifetimes, in_place)
    lifetimes += [Buffer((), 0, _aligned(size), step, step) for step, size in (scratch or {}).items()]
    waiting = sorted(lifetimes, key=lambda b: (-b.size, -b.first if tflm else b.first, b.tensors))
    overlaps = _overlaps(waiting, gaps or {})
    placed = _placed(waiting, overlaps)
    if overlaps:
        apart = _placed(waiting, {})  # greed does not always gain from more freedom
        placed = min(placed, apart, key=_top)
        # An input lies behind the output that overwrites it: what is written last is placed first, lowest.
        for order in (lambda b: (-b.size, -b.first), lambda b: -b.first):
            tried = sorted(waiting, key=order)
            found = _placed(tried, overlaps)
            if _top(found) < _top(placed):
                waiting, placed = tried, found
    alive = _alive(placed, len(graph.ops))
    least = _least(waiting, alive, overlaps)
    if tries and _top(placed) > least:
        placed = _improved(waiting, placed, overlaps, least, tries)
    return Plan(tuple(placed), _top(placed), alive)


def _overlaps(buffers: Sequence[Buffer], gaps: Mapping[tuple[int, int], int]) -> _Overlaps:
    """The gaps between buffers of which one ends where the other begins, rounded up to the alignment."""
    home = {tensor: buffer for buffer in buffers for tensor in buffer.tensors}
    found = {}
    for (written, read), gap in gaps.items():
        after, before = home.get(written), home.get(read)
        if after is not None and before is not None and before.last == after.first and before is not after:
            found[after.tensors, before.tensors] = min(_aligned(gap), after.size)
    return found


def _least(buffers: Sequence[Buffer], alive: Sequence[int], overlaps: _Overlaps) -> int:
    """A size that no plan falls below: what is alive less what inputs and outputs may share."""
    home = {buffer.tensors: buffer for buffer in buffers}
    shared: dict[int, int] = {}
    for (written, read), gap in overlaps.items():
        after, before = home[written], home[read]
        both = max(after.size, gap + before.size)
        shared[after.first] = shared.get(after.first, 0) + after.size + before.size - both
    return max((size - shared.get(step - 1, 0) for step, size in enumerate(alive)), default=0)


def _placed(waiting: Sequence[Buffer], overlaps: _Overlaps) -> list[Buffer]:
    """The buffers in that order, each at the lowest offset that is free while it lives."""
    placed: list[Buffer] = []
    for buffer in waiting:
        taken = sorted(
            _taken(buffer, other, overlaps)
            for other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        offset = 0
        for start, end in taken:
            if offset <= start:
                break
            offset = max(offset, end)
        placed.append(Buffer(buffer.tensors, offset, buffer.size, buffer.first, buffer.last))
    return placed


def _taken(buffer: Buffer, other: Buffer, overlaps: _Overlaps) -> tuple[int, int]:
    """Between which offsets a buffer must not begin because of another that has its place."""
    start, end = other.offset - buffer.size, other.offset + other.size
    if buffer.first == other.last and (gap := overlaps.get((buffer.tensors, other.tensors))) is not None:
        return other.offset - gap, end
    if other.first == buffer.last and (gap := overlaps.get((other.tensors, buffer.tensors))) is not None:
        return start, other.offset + gap
    return start, end


def _improved(
    waiting: Sequence[Buffer], placed: list[Buffer], overlaps: _Overlaps, floor: int, tries: int
) -> list[Buffer]:
    """A plan as good or better: what lies on top is placed earlier, again and again, always the same way."""
    order, best, chance = list(waiting), placed, random.Random(0)
    for _ in range(tries):
        if _top(best) == floor:
            break
        highest = [n for n, b in enumerate(best) if b.offset + b.size == _top(best)]
        moved = chance.choice(highest) if chance.random() < 0.5 else chance.randrange(len(order))
        tried = order.copy()
        tried.insert(chance.randrange(len(order)), tried.pop(moved))
        found = _placed(tried, overlaps)
        if _top(found) <= _top(best):
            order, best = tried, found
    return best


def _top(placed: Sequence[Buffer]) -> int:
    return max((b.offset + b.size for b in placed), default=0)


def floor_bytes(graph: Graph) -> int:
    """Most bytes alive at once, as `Plan.floor_bytes`: quick even for ten thousand operators."""
    return max(_alive(_lifetimes(graph, tflm=False), len(graph.ops)), default=0)


def _alive(buffers: Sequence[Buffer], steps: int) -> tuple[int, ...]:
    """Bytes alive before the first of `steps` operators, during each, and after the last."""
    change = [0] * (steps + 3)
    for buffer in buffers:
        change[buffer.first + 1] += buffer.size
        change[buffer.last + 2] -= buffer.size
    return tuple(accumulate(change[:-1]))


def _lifetimes(graph: Graph, tflm: bool) -> list[Buffer]:
    """Every activation from the operator that writes it to the last that reads it, not yet placed."""
    home = {i: i for i in _activations(graph)} if tflm else _homes(graph)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    members: dict[int, list[int]] = {}

    def touch(tensor: int, step: int) -> None:
        if tensor not in home:
            return
        buffer = home[tensor]
        first[buffer] = min(first.get(buffer, step), step)
        last[buffer] = max(last.get(buffer, step), step)
        held = members.setdefault(buffer, [])
        if tensor not in held:
            held.append(tensor)

    for index in graph.inputs:
        touch(index, -1)
    for op in graph.ops:
        for index in (*op.inputs, *op.outputs):
            touch(index, op.index)
    for index in graph.outputs:
        touch(index, len(graph.ops))
    found = []
    for buffer, held in members.items():
        size = max(graph.tensors[i].bytes for i in held)
        found.append(Buffer(tuple(held), 0, _aligned(size), first[buffer], last[buffer]))
    return found


def _shared(lifetimes: Sequence[Buffer], in_place: Mapping[int, Sequence[int]]) -> list[Buffer]:
    """The same lifetimes with outputs in the place of inputs that end where they begin."""
    home = {tensor: buffer for buffer in lifetimes for tensor in buffer.tensors}
    for written, candidates in in_place.items():
        after = home.get(written)
        for before in map(home.get, candidates):
            if after is None or before is None or before is after:
                continue
            if before.last == after.first and before.size >= after.size:
                held = (*before.tensors, *after.tensors)
                joined = Buffer(held, 0, before.size, before.first, after.last)
                home.update(dict.fromkeys(held, joined))
                break
    return list(dict.fromkeys(home.values()))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _activations(graph: Graph) -> list[int]:
    return [tensor.index for tensor in graph.tensors if not tensor.constant]


def _homes(graph: Graph) -> dict[int, int]:
    """For each activation the tensor whose buffer it shares, itself where it shares none."""
    home = {i: i for i in _activations(graph)}
    for op in graph.ops:
        if op.name == "DEQUANTIZE" and op.inputs[0] not in home:
            # widened weights: made once when the model is loaded, no activation
            home.pop(op.outputs[0], None)
        elif op.name in _IN_PLACE and op.inputs and op.inputs[0] in home:
            home[op.outputs[0]] = home[op.inputs[0]]
    return home
