"""Where a quantized model goes wrong: every layer's output beside that of the float model.

Runs in a child process. Both files carry the same tensor names, so that the activations of the two can be
compared one by one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.prefix import MOVES
from edge_sdk.errors import ModelError, one_line
from edge_sdk.graph import Graph, Tensor, read_graph

#: Inputs that are run; more would not change the order of the layers.
LIMIT = 32
_BINS = 40
#: What counts as no error at all, dB: float32 kernels differ by more.
_EXACT_DB = 100.0


@dataclass(frozen=True, slots=True)
class Layer:
    """The output of one operator, float and quantized.

    Attributes:
        name: of the tensor.
        op: that computes it.
        dtype: in the quantized model.
        sqnr_db: signal to quantization noise ratio of the whole tensor, dB.
        channel_sqnr_db: the same with every channel counting alike: a small channel that drowns beside a
            large one shows here only.
        added_db: how much of `channel_sqnr_db` was lost between this operator's inputs and its output, dB.
        low: smallest value of the float model.
        high: largest value.
        histogram: how many values lie in each of the equal steps from `low` to `high`.
        scale: one quantization step; None where it is float32.
    """

    name: str
    op: str
    dtype: str
    sqnr_db: float
    channel_sqnr_db: float
    added_db: float
    low: float
    high: float
    histogram: tuple[int, ...]
    scale: float | None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Layer:
        """What `measure` wrote."""
        return cls(**{**facts, "histogram": tuple(facts["histogram"])})


def measure(reference: str, quantized: str, windows: str, output: str) -> None:
    """Compare two models layer by layer and write a JSON list of `Layer`.

    Args:
        reference: path of the float32 .tflite.
        quantized: path of the .tflite made from it.
        windows: path of an .npz with one array [n, …] for each input, named "0", "1", …
        output: path to write.

    Raises:
        ModelError: a runtime refuses to keep the values between the layers.
    """
    files = [Path(path).read_bytes() for path in (reference, quantized)]
    graphs = [read_graph(data) for data in files]
    with np.load(windows) as arrays:
        inputs = [arrays[str(i)][:LIMIT] for i in range(len(graphs[0].inputs))]
    pairs = list(_pairs(*graphs))
    sums = {before.name: _Sums(before.shape) for before, _ in pairs}
    for values in _run_both(files, graphs, inputs, pairs):
        for name, (a, b) in values.items():
            sums[name].add(a, b)
    for values in _run_both(files, graphs, inputs, pairs):
        for name, (a, _) in values.items():
            sums[name].count(a)
    Path(output).write_text(json.dumps([asdict(layer) for layer in _layers(graphs[0], pairs, sums)]))


def read(file: Path) -> tuple[Layer, ...]:
    """The layers that `measure` wrote."""
    return tuple(Layer.from_dict(facts) for facts in json.loads(file.read_text()))


def around(graph: Graph, tensors: Collection[str]) -> tuple[str, ...]:
    """Names of the outputs of all operators that write or read one of these tensors.

    To keep a tensor in float32, what computes it and what uses it must compute so. Operators that only
    move values come along: QUANTIZE ahead of them would lose what was to be kept.
    """
    wanted = {t.index for t in graph.tensors if t.name in set(tensors)}
    writer = {i: op for op in graph.ops for i in op.outputs}
    kept = {op.index for op in graph.ops if wanted & {*op.inputs, *op.outputs}}
    for op in reversed(graph.ops):
        if op.index in kept:
            kept |= {writer[i].index for i in op.inputs if i in writer and writer[i].name in MOVES}
    return tuple(graph.tensors[i].name for op in graph.ops if op.index in kept for i in op.outputs)


class _Sums:
    """Of one tensor over all inputs: signal and noise a channel, range, histogram."""

    def __init__(self, shape: Sequence[int]) -> None:
        channels = shape[-1] if shape else 1
        self.signal, self.noise = np.zeros(channels), np.zeros(channels)
        self.low, self.high = math.inf, -math.inf
        self.histogram = np.zeros(_BINS, np.int64)

    def add(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        rows = a.reshape(-1, len(self.signal)).astype(np.float64)
        error = rows - b.reshape(rows.shape)
        self.signal += np.square(rows).sum(axis=0)
        self.noise += np.square(error).sum(axis=0)
        self.low, self.high = min(self.low, float(a.min())), max(self.high, float(a.max()))

    def count(self, a: NDArray[Any]) -> None:
        if self.high > self.low:
            self.histogram += np.histogram(a, _BINS, (self.low, self.high))[0]

    @property
    def sqnr_db(self) -> float:
        return _decibels(float(self.signal.sum()), float(self.noise.sum()))

    @property
    def channel_sqnr_db(self) -> float:
        alive = self.signal > 0
        if not alive.any():
            return _EXACT_DB
        return _decibels(1.0, float(np.minimum(self.noise[alive] / self.signal[alive], 1.0).mean()))


def _decibels(signal: float, noise: float) -> float:
    if not noise > 0:
        return _EXACT_DB
    return min(10 * math.log10(signal / noise), _EXACT_DB) if signal > 0 else -_EXACT_DB


def _pairs(reference: Graph, quantized: Graph) -> Iterator[tuple[Tensor, Tensor]]:
    """The activations that both models have, in the order in which they are computed."""
    there = {tensor.name: tensor for tensor in quantized.tensors if not tensor.constant}
    for op in reference.ops:
        for index in op.outputs:
            before = reference.tensors[index]
            after = there.get(before.name)
            # Behind a DEQUANTIZE of the same name the integers are what was computed.
            if after is not None and before.dtype == "float32" and after.elements == before.elements:
                yield before, after


def _run_both(
    files: Sequence[bytes],
    graphs: Sequence[Graph],
    inputs: Sequence[NDArray[Any]],
    pairs: Sequence[tuple[Tensor, Tensor]],
) -> Iterator[dict[str, tuple[NDArray[Any], NDArray[Any]]]]:
    """For each input the values of every pair, the quantized ones in the units of the float ones."""
    runs = [_Interpreter(data, graph) for data, graph in zip(files, graphs, strict=True)]
    for sample in zip(*inputs, strict=True):
        for run in runs:
            run.invoke(sample)
        yield {a.name: (runs[0].value(a), runs[1].value(b)) for a, b in pairs}


class _Interpreter:
    """LiteRT's interpreter with every value kept; the delegate is off, because it keeps what it computes."""

    def __init__(self, flatbuffer: bytes, graph: Graph) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._graph = graph
        try:
            self._interpreter = Interpreter(
                model_content=flatbuffer,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError("the layers cannot be looked into", found=one_line(error)[:200]) from error

    def invoke(self, sample: Sequence[NDArray[Any]]) -> None:
        for index, values in zip(self._graph.inputs, sample, strict=True):
            tensor = self._graph.tensors[index]
            self._interpreter.set_tensor(index, _quantized(values[None], tensor))
        self._interpreter.invoke()

    def value(self, tensor: Tensor) -> NDArray[Any]:
        raw = self._interpreter.get_tensor(tensor.index)
        if not tensor.scale.size or raw.dtype.kind != "i":
            return np.asarray(raw, dtype=np.float32)
        return np.asarray((raw.astype(np.float32) - tensor.zero_point[0]) * tensor.scale[0], dtype=np.float32)


def _quantized(values: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    if tensor.dtype == values.dtype or not tensor.scale.size:
        return np.asarray(values, dtype=tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    steps = np.round(values / tensor.scale[0]) + tensor.zero_point[0]
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype=tensor.dtype)


def _layers(
    graph: Graph, pairs: Sequence[tuple[Tensor, Tensor]], sums: Mapping[str, _Sums]
) -> Iterator[Layer]:
    writer = {graph.tensors[i].name: op for op in graph.ops for i in op.outputs}
    so_far: dict[str, float] = {}
    for before, after in pairs:
        found, op = sums[before.name], writer[before.name]
        reached = [so_far[name] for i in op.inputs if i >= 0 and (name := graph.tensors[i].name) in so_far]
        now = found.channel_sqnr_db
        so_far[before.name] = now
        yield Layer(
            before.name,
            op.name,
            after.dtype,
            round(found.sqnr_db, 3),
            round(now, 3),
            round(max(min(reached, default=_EXACT_DB) - now, 0.0), 3),
            found.low,
            found.high,
            tuple(found.histogram.tolist()),
            float(after.scale[0]) if after.scale.size == 1 else None,
        )


def guilty(layers: Sequence[Layer]) -> list[Layer]:
    """Quantized layers, those that lost most first."""
    return sorted((layer for layer in layers if layer.dtype != "float32"), key=lambda layer: -layer.added_db)
