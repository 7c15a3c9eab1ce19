"""The rules against a count of what every window reads, one by one."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converters.c import layers, memory, overlap
from converters.c.lower import lower
from tests.kinds import Net
from tests.operators.convolution import CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
from tests.operators.pooling import POOLS
from tests.quantized import Trial, each

S = (0.05, 3)


def windows(layer: Any) -> list[list[int]]:
    """Pixels of the input that each pixel of the output reads, in the order of the output."""
    found = []
    for batch in range(layer.batches):
        for y in range(layer.output_height):
            for x in range(layer.output_width):
                pixels = []
                for i in range(layer.kernel_height):
                    for j in range(layer.kernel_width):
                        row = y * layer.stride_height - layer.padding_top
                        row += i * getattr(layer, "dilation_height", 1)
                        column = x * layer.stride_width - layer.padding_left
                        column += j * getattr(layer, "dilation_width", 1)
                        if 0 <= row < layer.input_height and 0 <= column < layer.input_width:
                            pixels.append((batch * layer.input_height + row) * layer.input_width + column)
                found.append(pixels)
    return found


def events(layer: Any) -> list[tuple[int, set[int]]]:
    """For each write in its order: where it ends, and the bytes that are read behind it."""
    if isinstance(layer, layers.FullyConnected):
        outputs, inputs = layer.weights.shape
        blocks = range(0, layer.rows, overlap.ROWS)
        return [
            (min(at + overlap.ROWS, layer.rows) * outputs, set(range(at * inputs, layer.rows * inputs)))
            for at in blocks
        ]
    read = windows(layer)
    channels = layer.input_channels if hasattr(layer, "input_channels") else layer.channels
    if isinstance(layer, layers.Conv2d):
        written = layer.patch.weights.shape[0]
        return [
            ((p + 1) * written, {pixel * channels for later in read[p + 1 :] for pixel in later})
            for p in range(len(read))
        ]
    multiplier = getattr(layer, "depth_multiplier", 1)
    found = []
    for p in range(len(read)):
        later = {pixel * channels for other in read[p + 1 :] for pixel in other}
        if multiplier > 1:
            own = {pixel * channels for pixel in read[p]}
            found.append(((p + 1) * channels * multiplier, later | own))
            continue
        for c in range(channels):
            own = {pixel * channels + c + 1 for pixel in read[p] if c + 1 < channels}
            found.append((p * channels + c + 1, later | own))
    return found


def least(layer: Any) -> int:
    """The least gap of all events, not below 0."""
    return max(0, *(written - min(read) for written, read in events(layer) if read), 0)


@given(trial=st.one_of(*(each([family]) for family in (CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, POOLS))))
def test_no_gap_is_less_than_what_is_still_read_asks_for(trial: Trial) -> None:
    if not trial.inputs:
        return
    program = lower(trial.flatbuffer())
    (step,) = program.steps
    gap = overlap.gaps(program)[step.output, step.inputs[0]]
    layer = step.layer
    pointwise = isinstance(layer, layers.Conv2d) and layer.kernel_height * layer.kernel_width == 1
    pointwise = pointwise and layer.stride_height * layer.stride_width == 1
    asked = least(layer.patch if pointwise else layer)
    size = program.graph.tensors[step.output].bytes - program.graph.tensors[step.inputs[0]].bytes
    assert asked <= gap
    # No more than that, but where nothing is left to read, or a window lies outside of the input.
    if isinstance(layer, layers.FullyConnected) or all(windows(layer)):
        assert gap <= max(asked, size, 0)


def test_an_output_overwrites_what_has_been_read() -> None:
    net = Net()
    x = net.input("x", [1, 8, 8, 4], "int8", S)
    weights = net.constant(np.ones((1, 3, 3, 4), np.int8), (0.1, 0))
    bias = net.constant(np.zeros(4, np.int32))
    options = {"kind": "DepthwiseConv2DOptions", "strideH": 1, "strideW": 1, "depthMultiplier": 1}
    options |= {"dilationHFactor": 1, "dilationWFactor": 1, "padding": 0}
    y = net.op("DEPTHWISE_CONV_2D", [x, weights, bias], [1, 8, 8, 4], "int8", S, **options)
    net.output("y", y)
    program = lower(net.flatbuffer())
    assert overlap.gaps(program) == {(y, x): (8 + 1) * 4}
    planned = memory.place(program)
    assert planned.offset[x] - planned.offset[y] == 48
    assert planned.arena_bytes < planned.floor_bytes == 512


def test_an_input_that_is_read_again_is_not_overwritten() -> None:
    net = Net()
    x = net.input("x", [1, 64], "int8", S)
    net.output("y", net.op("RELU", [x], [1, 64], "int8", S))
    net.output("z", net.op("TANH", [x], [1, 64], "int8", (1 / 128, 0)))
    program = lower(net.flatbuffer())
    planned = memory.place(program)
    assert abs(planned.offset[x] - planned.offset[program.steps[0].output]) >= 64


def test_an_operand_that_is_broadcast_is_not_overwritten() -> None:
    net = Net()
    x = net.input("x", [1, 8, 4], "int8", S)
    y = net.input("y", [1, 1, 4], "int8", S)
    z = net.op("ADD", [x, y], [1, 8, 4], "int8", S)
    net.output("z", z)
    assert overlap.gaps(lower(net.flatbuffer())) == {(z, x): 0}
