"""About how many instructions an inference takes: each kernel's work times what that took when measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from converters.c import layers

if TYPE_CHECKING:
    from converters.c.operation import Step

#: Products (of what moves bytes: rows), outputs, and bytes that are brought together for them.
Work = tuple[int, int, int]
#: Instructions for one of each.
Pace = tuple[float, float, float]

#: Instructions a product, an output and a byte, by kernel: with SMLAD, and with vectors. Fitted to single
#: operators of up to seven shapes in QEMU 7.2 with GCC 12.2 at -O2.
_MEASURED: Mapping[str, tuple[Pace, Pace]] = {
    "edgeml_add": ((0, 69, 0), (0, 8.64, 0)),
    "edgeml_average_pool_2d": ((3.35, 27, 0), (1.77, 34, 0)),
    "edgeml_batch_matmul": ((3.61, 51.5, 0), (1.65, 52.5, 0)),
    "edgeml_conv_2d": ((0.75, 26.3, 14.3), (0.03, 8.66, 5.2)),
    "edgeml_copy": ((57, 29.6, 0.5), (59.6, 29.7, 0.52)),
    "edgeml_depthwise_conv_2d": ((3.6, 20.2, 18), (0.82, 4.95, 17.3)),
    "edgeml_dequantize": ((0, 9.23, 0), (0, 8.3, 0)),
    "edgeml_fill": ((0, 0, 0.47), (0, 0, 0.48)),
    "edgeml_float_add": ((0, 21.2, 0), (0, 22.4, 0)),
    "edgeml_float_div": ((0, 21.2, 0), (0, 22.4, 0)),
    "edgeml_float_mul": ((0, 21.2, 0), (0, 22.4, 0)),
    "edgeml_float_sub": ((0, 21.2, 0), (0, 22.4, 0)),
    "edgeml_fully_connected": ((1.55, 31.4, 2.37), (0.17, 11.1, 0.99)),
    "edgeml_l2_normalization": ((0, 30.6, 261), (0, 33.7, 281)),
    "edgeml_lookup": ((0, 11, 0), (0, 11, 0)),
    "edgeml_lstm": ((2.47, 599, 0), (0.99, 635, 0)),
    "edgeml_max_pool_2d": ((5.08, 18.6, 0), (0.2, 6.69, 0)),
    "edgeml_maximum": ((0, 10, 0), (0, 9.03, 0)),
    "edgeml_mean": ((2.7, 29.2, 0), (2.39, 34.4, 0)),
    "edgeml_minimum": ((0, 10, 0), (0, 9.03, 0)),
    "edgeml_mul": ((0, 37.3, 0), (0, 8.64, 0)),
    "edgeml_prelu": ((0, 38.8, 0), (0, 39.5, 0)),
    "edgeml_quantize": ((0, 31, 0), (0, 31, 0)),
    "edgeml_reduce_max": ((8.01, 2.08, 0), (6.01, 6.12, 0)),
    "edgeml_reduce_min": ((8.01, 2.08, 0), (6.01, 6.12, 0)),
    "edgeml_resize_bilinear": ((0, 26.3, 0), (0, 26.3, 0)),
    "edgeml_resize_nearest": ((0, 4.35, 0), (0, 4.35, 0)),
    "edgeml_softmax": ((0, 42, 181), (0, 46.4, 192)),
    "edgeml_squared_difference": ((0, 72, 0), (0, 72, 0)),
    "edgeml_transpose_conv": ((3.5, 128, 15.4), (2.78, 136, 16.1)),
}
#: The kernels' pace on a core.
PACE: Mapping[str, Mapping[str, Pace]] = {
    "cortex-m4": {kernel: with_smlad for kernel, (with_smlad, _) in _MEASURED.items()},
    "cortex-m7": {kernel: with_smlad for kernel, (with_smlad, _) in _MEASURED.items()},
    "cortex-m33": {kernel: with_smlad for kernel, (with_smlad, _) in _MEASURED.items()},
    "cortex-m55": {kernel: with_vectors for kernel, (_, with_vectors) in _MEASURED.items()},
}


def instructions(steps: Sequence[Step], core: str) -> dict[int, int] | None:
    """About how many instructions each operator takes.

    Args:
        steps: the kernel calls.
        core: one of those in `PACE`.

    Returns:
        By the operator's index; None if a kernel was not measured.
    """
    pace = PACE[core]
    if any(step.layer.kernel not in pace for step in steps):
        return None
    found: dict[int, int] = {}
    for step in steps:
        took = sum(n * each for n, each in zip(work(step.layer), pace[step.layer.kernel], strict=True))
        found[step.op] = found.get(step.op, 0) + round(took)
    return found


def work(layer: layers.Layer) -> Work:
    """What a kernel has to do."""
    return _WORK.get(type(layer), _elements)(layer)


def _fully_connected(layer: Any) -> Work:
    outputs, inputs = layer.weights.shape
    return layer.rows * outputs * inputs, layer.rows * outputs, layer.rows * inputs


def _conv_2d(layer: Any) -> Work:
    pixels = layer.batches * layer.output_height * layer.output_width
    outputs, inputs = layer.patch.weights.shape
    return pixels * outputs * inputs, pixels * outputs, pixels * inputs


def _depthwise_conv_2d(layer: Any) -> Work:
    pixels = layer.batches * layer.output_height * layer.output_width
    taps, channels = layer.kernel_height * layer.kernel_width, layer.weights.shape[-1]
    return pixels * taps * channels, pixels * channels, pixels * taps


def _transpose_conv(layer: Any) -> Work:
    inputs = layer.batches * layer.input_height * layer.input_width * layer.input_channels
    outputs = layer.batches * layer.output_height * layer.output_width * layer.output_channels
    taps = layer.kernel_height * layer.kernel_width // (layer.stride_height * layer.stride_width)
    return inputs * layer.weights.size // layer.input_channels, outputs, outputs * taps


def _pool(layer: Any) -> Work:
    outputs = layer.batches * layer.output_height * layer.output_width * layer.channels
    return outputs * layer.kernel_height * layer.kernel_width, outputs, 0


def _reduce(layer: Any) -> Work:
    return layer.outer * layer.reduced * layer.inner, layer.outer * layer.inner, 0


def _batch_matmul(layer: Any) -> Work:
    batches = math.prod(layer.box.size)
    outputs = batches * layer.rows * layer.columns
    return outputs * layer.inner, outputs, batches * layer.columns * layer.inner


def _copy(layer: Any) -> Work:
    """Rows of neighbours are moved at once."""
    elements = math.prod(layer.box.size)
    if layer.box.step_a[-1] == layer.box.step_b[-1] == 1:
        return elements // layer.box.size[-1], 0, elements * layer.bytes
    return 0, elements, 0


def _lstm(layer: Any) -> Work:
    cells = layer.batches * layer.steps * layer.cells
    return cells * 4 * (layer.inputs + layer.cells), cells, 0


def _elements(layer: Any) -> Work:
    box = getattr(layer, "box", layer)
    if hasattr(box, "size"):
        return 0, math.prod(box.size), 0
    if hasattr(layer, "rows") and hasattr(layer, "depth"):
        return 0, layer.rows * layer.depth, layer.rows
    if hasattr(layer, "output_height"):
        channels = getattr(layer, "channels", 0) or layer.bytes
        return 0, layer.batches * layer.output_height * layer.output_width * channels, 0
    return 0, getattr(layer, "elements", 0), getattr(layer, "bytes", 0)


_WORK: Mapping[type[layers.Layer], Callable[[Any], Work]] = {
    layers.AveragePool: _pool,
    layers.BatchMatmul: _batch_matmul,
    layers.Conv2d: _conv_2d,
    layers.Copy: _copy,
    layers.DepthwiseConv2d: _depthwise_conv_2d,
    layers.FullyConnected: _fully_connected,
    layers.Lstm: _lstm,
    layers.MaxPool: _pool,
    layers.Mean: _reduce,
    layers.ReduceMax: _reduce,
    layers.ReduceMin: _reduce,
    layers.TransposeConv: _transpose_conv,
}
