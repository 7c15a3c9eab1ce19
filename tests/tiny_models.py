"""Two networks of MLPerf Tiny with random int8 weights: what they cost does not depend on what they know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.kinds import Scaled
from tests.quantized import Trial

_RELU: Scaled = (0.05, -128)
_LINEAR: Scaled = (0.05, 3)


class _Network:
    """Layers in a row; each takes and gives a tensor with its shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.trial = Trial(np.random.default_rng(5))
        self.shape, self.scaled = list(shape), _LINEAR
        self.at = self.trial.input(shape, _LINEAR)

    def convolution(
        self, units: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False, relu: bool = True
    ) -> int:
        channels, rng = self.shape[3], self.trial.rng
        kernels = (1, kernel, kernel, units) if depthwise else (units, kernel, kernel, channels)
        fan_in = kernel * kernel * (1 if depthwise else channels)
        scales = (rng.uniform(0.8, 1.2, units) / (50 * fan_in**0.5)).astype(np.float32)
        values = rng.integers(-127, 128, kernels).astype(np.int8)
        weights = self.trial.weights(values, scales, 3 if depthwise else 0)
        bias = rng.integers(-2000, 2000, units).astype(np.int32)
        size = [-(-n // stride) for n in self.shape[1:3]]
        self.shape, self.scaled = [1, *size, units], _RELU if relu else _LINEAR
        options = {"strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1}
        options |= {"padding": schema.Padding.SAME, "fusedActivationFunction": int(relu)}
        options |= {"kind": "DepthwiseConv2DOptions", "depthMultiplier": 1} if depthwise else {}
        options.setdefault("kind", "Conv2DOptions")
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        inputs = [self.at, weights, self.trial.weights(bias, np.float32(self.scaled[0]) * scales)]
        self.at = self.trial.op(name, inputs, self.shape, self.scaled, **options)
        return self.at

    def classify(self, units: int) -> bytes:
        size, channels = self.shape[1], self.shape[3]
        pool = {"filterHeight": size, "filterWidth": size, "strideH": size, "strideW": size}
        pool |= {"kind": "Pool2DOptions", "padding": schema.Padding.VALID}
        x = self.trial.op("AVERAGE_POOL_2D", [self.at], [1, 1, 1, channels], self.scaled, **pool)
        shape = self.trial.net.constant(np.array([1, channels], np.int32))
        x = self.trial.op("RESHAPE", [x, shape], [1, channels], self.scaled)
        values = self.trial.rng.integers(-127, 128, (units, channels)).astype(np.int8)
        weights = self.trial.weights(values, np.array([0.004], np.float32))
        bias = self.trial.weights(np.zeros(units, np.int32), np.array([0.0002], np.float32))
        x = self.trial.op("FULLY_CONNECTED", [x, weights, bias], [1, units], (0.1, 0))
        self.trial.output(self.trial.op("SOFTMAX", [x], [1, units], (1 / 256, -128), beta=1.0))
        return self.trial.flatbuffer()


def resnet_8() -> bytes:
    """Image classification: 32 x 32 x 3, three residual blocks."""
    net = _Network([1, 32, 32, 3])
    net.convolution(16, 3)
    for units, stride in ((16, 1), (32, 2), (64, 2)):
        x, shape, of = net.at, net.shape, net.scaled
        net.convolution(units, 3, stride)
        y = net.convolution(units, 3, relu=False)
        if stride > 1:
            net.at, net.shape, net.scaled = x, shape, of
            x = net.convolution(units, 1, stride, relu=False)
        net.scaled = _RELU
        net.at = net.trial.op("ADD", [x, y], net.shape, _RELU, fusedActivationFunction=1)
    return net.classify(10)


def visual_wake_words() -> bytes:
    """MobileNet, a quarter as wide: 96 x 96 x 3."""
    net = _Network([1, 96, 96, 3])
    net.convolution(8, 3, 2)
    steps = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for units, stride in steps:
        net.convolution(net.shape[3], 3, stride, depthwise=True)
        net.convolution(units)
    return net.classify(2)
