"""How far an input has to begin behind an output that overwrites it while its kernel runs.

Every kernel writes its output once, from the first byte to the last, and reads its input on the way. A place
of the input may be overwritten as soon as nothing reads it any more. Let the first w bytes of the output be
written, and r be the first byte of the input that is still to be read: the input may begin d bytes behind
the output if w <= d + r at every moment. Each rule here gives the least such d, from what holds of every
variant of a kernel (plain, SMLAD, vectors):

gathered    windows are copied to the working memory in their order; an output is written when its own window,
            and maybe some that follow, are there. So when pixel p is written, windows from p + 1 on are to be
            read.
by_channel  a pixel's channels are written in their order, each when it has been read. So when channel c of
            pixel p is written, channels from c + 1 on of window p, and windows from p + 1 on, are to be read.
by_pixel    when any channel of pixel p is written, windows from p on are to be read.
by_rows     rows are multiplied in blocks of `ROWS`, and read again for each output: when a block is written,
            rows from its first on are to be read.
by_frame    features of frame f are written when it has been read, and from frame f + 1 on all are to be read.
forward     element n is written when it has been read, and from n + 1 on all are to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import boxes, layers
from converters.c.lower import Program
from converters.c.operation import Step

#: Rows that no variant of edgeml_fully_connected exceeds before it writes: EDGEML_FULLY_CONNECTED_ROWS.
ROWS = 8
_Rule = Callable[[Any], int]


def gaps(program: Program) -> dict[tuple[int, int], int]:
    """Bytes that an input has to begin behind an output at least, by both: (output, input).

    Only operators that are one kernel call, and inputs in the arena; an input that is missing must not be
    overwritten at all while its operator runs.
    """
    calls: dict[int, int] = {}
    for step in program.steps:
        calls[step.op] = calls.get(step.op, 0) + 1
    tensors, found = program.graph.tensors, {}
    for step in program.steps:
        if calls[step.op] > 1 or step.output in program.state:
            continue
        for tensor, gap in _of_step(step).items():
            if tensors[tensor].data is None and tensor not in program.state:
                found[step.output, tensor] = max(gap, 0)
    return found


def _of_step(step: Step) -> dict[int, int]:
    layer = step.layer
    box = getattr(layer, "box", None)
    if isinstance(box, layers.Box):
        return _of_box(step, box)
    rule = _RULES.get(type(layer))
    return {} if rule is None else {step.inputs[0]: rule(layer)}


def _of_box(step: Step, box: layers.Box) -> dict[int, int]:
    """Operands that are as large as the output, element by element; others are read more than once."""
    if type(step.layer) not in _ELEMENTWISE or len(set(step.inputs)) < len(step.inputs):
        return {}
    dense = boxes.steps(box.size)
    both = zip(step.inputs, (box.step_a, box.step_b), strict=True)
    return {tensor: 0 for tensor, steps in both if _same(box.size, steps, dense)}


def _same(size: tuple[int, ...], steps: tuple[int, ...], dense: tuple[int, ...]) -> bool:
    return all(n == 1 or step == other for n, step, other in zip(size, steps, dense, strict=True))


def _conv_2d(layer: layers.Conv2d) -> int:
    pixels = {layer.kernel_height, layer.kernel_width, layer.stride_height, layer.stride_width}
    if pixels == {1}:
        return _by_rows(layer.patch)
    outputs = layer.patch.weights.shape[0]
    first = _first_read(layer)[1:] * layer.input_channels
    return _most(outputs * (1 + np.arange(first.size)) - first)


def _depthwise_conv_2d(layer: layers.DepthwiseConv2d) -> int:
    first, channels = _first_read(layer)[:-1], layer.input_channels
    written = np.arange(first.size)
    if layer.depth_multiplier == 1:
        return _most((written - first) * channels)
    return _most((written + 1) * channels * layer.depth_multiplier - first * channels)


def _pool(layer: layers.AveragePool | layers.MaxPool) -> int:
    first = _first_read(layer)[:-1]
    return _most((np.arange(first.size) - first) * layer.channels)


def _by_rows(layer: layers.FullyConnected) -> int:
    outputs, inputs = layer.weights.shape
    first = np.arange(0, layer.rows, ROWS)
    return _most(np.minimum(first + ROWS, layer.rows) * outputs - first * inputs)


def _lstm(layer: layers.Lstm) -> int:
    read = 1 + np.arange(layer.batches * layer.steps)
    return _most(read * (layer.cells - layer.inputs))


def _log_mel(layer: layers.LogMel) -> int:
    written = np.arange(1, layer.frames)
    return 4 * _most(written * layer.bands - layer.start - written * layer.hop)


def _first_read(layer: Any) -> NDArray[np.int64]:
    """The first pixel of the input that window p or one behind it reads, for each p; at the end, for none."""
    rows = _first_inside(layer, "height")
    columns = _first_inside(layer, "width")
    pixels = rows[:, None] * layer.input_width + columns[None, :]
    images = np.arange(layer.batches)[:, None] * layer.input_height * layer.input_width
    end = layer.batches * layer.input_height * layer.input_width
    every = np.append((images + pixels.reshape(1, -1)).reshape(-1), end)
    return np.minimum.accumulate(every[::-1])[::-1]


def _first_inside(layer: Any, axis: str) -> NDArray[np.int64]:
    """The first row or column of the windows along an axis that is not ahead of the input."""
    ahead = layer.padding_top if axis == "height" else layer.padding_left
    stride, dilation = getattr(layer, f"stride_{axis}"), getattr(layer, f"dilation_{axis}", 1)
    start = np.arange(getattr(layer, f"output_{axis}"), dtype=np.int64) * stride - ahead
    return np.asarray(np.where(start < 0, start + dilation * -(start // dilation), start), np.int64)


def _most(found: NDArray[np.int64]) -> int:
    return int(found.max()) if found.size else 0


def _forward(_: Any) -> int:
    return 0


_ELEMENTWISE = frozenset(
    {layers.Add, layers.Mul, layers.FloatAdd, layers.FloatSub, layers.FloatMul, layers.FloatDiv}
)
_RULES: Mapping[type[layers.Layer], _Rule] = {
    layers.AveragePool: _pool,
    layers.Conv2d: _conv_2d,
    layers.DepthwiseConv2d: _depthwise_conv_2d,
    layers.FullyConnected: _by_rows,
    layers.LogMel: _log_mel,
    layers.Lookup: _forward,
    layers.Lstm: _lstm,
    layers.MaxPool: _pool,
    layers.Mean: _forward,
    layers.Quantize: _forward,
    layers.ReduceMax: _forward,
    layers.Softmax: _forward,
}
