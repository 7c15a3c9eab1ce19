"""What a kernel is told: one record a kernel, with the fields of its C structure in their order.

Records hold plain facts, such as a bias and a zero point; `fields` gives what the C structure holds, such as
the bias with the zero point's share inside.
"""

from __future__ import annotations

from converters.c.layers.arithmetic import (
    Add,
    FloatAdd,
    FloatDiv,
    FloatMul,
    FloatSub,
    Maximum,
    Minimum,
    Mul,
    Prelu,
    SquaredDifference,
)
from converters.c.layers.convolution import Conv2d, DepthwiseConv2d, FullyConnected, TransposeConv
from converters.c.layers.layer import AXES, Box, Bytes, Ints, Layer
from converters.c.layers.log_mel import LogMel, PowerSpectrum
from converters.c.layers.matrices import BatchMatmul
from converters.c.layers.movement import Copy, Fill, ResizeBilinear, ResizeNearest
from converters.c.layers.pooling import AveragePool, MaxPool, Mean, ReduceMax, ReduceMin
from converters.c.layers.recurrent import Lstm, LstmGate, LstmPart
from converters.c.layers.unary import Dequantize, L2Normalization, Lookup, Quantize, Softmax

__all__ = [
    "AXES",
    "Add",
    "AveragePool",
    "BatchMatmul",
    "Box",
    "Bytes",
    "Conv2d",
    "Copy",
    "DepthwiseConv2d",
    "Dequantize",
    "Fill",
    "FloatAdd",
    "FloatDiv",
    "FloatMul",
    "FloatSub",
    "FullyConnected",
    "Ints",
    "L2Normalization",
    "Layer",
    "LogMel",
    "Lookup",
    "Lstm",
    "LstmGate",
    "LstmPart",
    "MaxPool",
    "Maximum",
    "Mean",
    "Minimum",
    "Mul",
    "PowerSpectrum",
    "Prelu",
    "Quantize",
    "ReduceMax",
    "ReduceMin",
    "ResizeBilinear",
    "ResizeNearest",
    "Softmax",
    "SquaredDifference",
    "TransposeConv",
]
