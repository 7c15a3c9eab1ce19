"""Several windows in one invoke: an engine for each size of batch, made when it is first needed.

Measured with LiteRT on x86, µs a window: a dense net takes 2.4 alone, 0.84 among 4, 0.37 among 16, 0.25 among
64 and 0.23 among 128; a Conv1D 4.4, 3.0, 2.7, 2.6 and 3.2. To resize one interpreter would cost 300 µs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_sdk.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.graph import Graph
    from edge_sdk.runtimes import Port, Runtime

#: Windows in one invoke, beside one alone.
SIZES = (4, 16, 64)
#: What the engines of all sizes may take together, bytes.
MOST_BYTES = 16 << 20
#: An engine without weights and windows, and each of its operators, bytes.
_ENGINE_BYTES, _OPERATOR_BYTES = 128 << 10, 6 << 10
#: How far the outputs of a batch may be from those of one window, as a share of the largest: on every machine
#: tried it was 0, but sums may be taken in another order.
_TOLERANCE = 1e-5


class Batches:
    """The engines of one model.

    Args:
        runtime: takes one window, and makes the others.
        footprint: what they take, as `footprint` tells.

    Attributes:
        sizes: of the batches that there may be, ascending; fewer for a model of large tensors.
        bytes: what the engines made so far take at most.
    """

    def __init__(self, runtime: Runtime, footprint: Mapping[str, int]) -> None:
        self._one, self._footprint = runtime, footprint
        self._engines: dict[int, Runtime] = {}
        together, sizes = 0, []
        for size in SIZES:
            together += self._bytes(size)
            if together <= MOST_BYTES:
                sizes.append(size)
        self.sizes = tuple(sizes)

    @property
    def bytes(self) -> int:
        """What the engines made so far take, at most."""
        return sum(map(self._bytes, self._engines))

    def run(self, inputs: Sequence[NDArray[Any]]) -> Iterator[tuple[slice, list[NDArray[Any]], float]]:
        """All windows, in as few invokes as is worth while.

        Args:
            inputs: [n, …] for each input of the model.

        Yields:
            Which windows, what was said to them (behind it, what was said to what filled up the batch), and
            the time of the invoke for each of them, µs.
        """
        at, end = 0, len(inputs[0])
        while at < end:
            size = self._size_for(end - at)
            engine = self._engine(size)
            if engine is None:
                continue
            rows = slice(at, min(at + size, end))
            given = [_filled(array[rows], size) for array in inputs]
            started = time.perf_counter()
            said = engine.invoke(given)
            yield rows, said, (time.perf_counter() - started) * 1e6 / (rows.stop - at)
            at = rows.stop

    def close(self) -> None:
        """Release the engines; that of one window is the model's."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    def _size_for(self, count: int) -> int:
        """The largest batch that so many windows fill by three quarters: an invoke costs less than a gap."""
        return next((size for size in reversed(self.sizes) if count >= size * 3 // 4), 1)

    def _engine(self, size: int) -> Runtime | None:
        """That of a size; None, and the size is given up, where the runtime refuses it."""
        if size == 1:
            return self._one
        if size not in self._engines:
            try:
                self._engines[size] = self._one.batched(size)  # type: ignore[attr-defined]
            except ModelError:
                self.sizes = tuple(other for other in self.sizes if other < size)
                return None
        return self._engines[size]

    def _bytes(self, size: int) -> int:
        return self._footprint["engine_bytes"] + size * self._footprint["window_bytes"]


def rehearse(file: str, runtime: str, contract: dict[str, Any] | None = None) -> dict[str, int] | None:
    """In a child process: run several windows at once, and compare with the same one by one.

    Returns:
        What batches take, as `footprint`; None where the runtime cannot, or where outputs
        differ: a reshape may mix the windows of a batch, and a recurrent layer their states.
    """
    from pathlib import Path

    from edge_sdk.contract import Contract
    from edge_sdk.engine import open_engine
    from edge_sdk.graph import read_graph
    from edge_sdk.modelfile import GOLDEN, Golden, split

    parts = split(Path(file).read_bytes())
    engine = open_engine(runtime, parts.flatbuffer, contract=Contract.trusted(contract) if contract else None)
    if not hasattr(engine, "batched"):
        return None
    size = SIZES[0]
    golden = Golden.from_bytes(parts.members[GOLDEN]) if GOLDEN in parts.members else None
    if golden is not None and len(golden) >= size:
        inputs = [array[:size] for array in golden.inputs]
    else:
        inputs = [_random(port, size) for port in engine.inputs]
    alone = zip(*(engine.invoke([array[i : i + 1] for array in inputs]) for i in range(size)), strict=True)
    for said, single in zip(engine.batched(size).invoke(inputs), alone, strict=True):
        expected = np.stack([np.asarray(one) for one in single])
        if np.shape(said)[:1] != (size,) or np.size(said) != expected.size:
            return None
        off = _TOLERANCE * max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
        off = off if expected.dtype.kind == "f" else 0.0
        if not np.allclose(said, expected.reshape(np.shape(said)), rtol=0, atol=off, equal_nan=True):
            return None
    return footprint(read_graph(parts.flatbuffer), engine.inputs)


def footprint(graph: Graph, inputs: Sequence[Port]) -> dict[str, int]:
    """What an engine takes at most, and each window in it, bytes.

    Twice the constants (XNNPACK packs them anew) and twice the tensors that live at the same time; held
    against the growth of the heap in the tests.

    Args:
        graph: of the model.
        inputs: as settled: lengths that the graph leaves open stretch its tensors.
    """
    stretch = max(
        (
            math.prod(
                port.shape[axis] / max(graph.tensors[index].shape[axis], 1) for axis in port.open if axis
            )
            for port, index in zip(inputs, graph.inputs, strict=True)
        ),
        default=1.0,
    )
    constants = sum(tensor.bytes for tensor in graph.tensors if tensor.constant)
    return {
        "engine_bytes": 2 * constants + _ENGINE_BYTES + _OPERATOR_BYTES * len(graph.ops),
        "window_bytes": math.ceil(2 * stretch * _most_alive(graph)),
    }


def _most_alive(graph: Graph) -> int:
    """The largest sum of tensors that hold something at the same time, bytes."""
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.outputs, len(graph.ops))
    for step, op in enumerate(graph.ops):
        for index in op.outputs:
            first.setdefault(index, step)
        for index in (*op.inputs, *op.outputs):
            last[index] = max(last.get(index, 0), step)
    change = np.zeros(len(graph.ops) + 2, np.int64)
    for index, begin in first.items():
        change[begin] += graph.tensors[index].bytes
        change[last.get(index, begin) + 1] -= graph.tensors[index].bytes
    return int(np.cumsum(change).max())


def _filled(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """The rows, and zeros up to the size of the batch."""
    if len(rows) == size:
        return rows
    whole = np.zeros((size, *rows.shape[1:]), rows.dtype)
    whole[: len(rows)] = rows
    return whole


def _random(port: Port, size: int) -> NDArray[Any]:
    """Unlike windows; integers stay small, so that an embedding's table is not left."""
    rng = np.random.default_rng(7)
    shape, kind = (size, *port.shape[1:]), np.dtype(port.dtype)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    if port.scale:
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return rng.integers(0, 2, shape).astype(kind)
