"""Operators as Hypothesis draws them: a module a family, as in converters/c/operators."""

from __future__ import annotations

from tests.operators import (
    blocks,
    chains,
    convolution,
    elementwise,
    matrices,
    movement,
    pooling,
    recurrent,
    unary,
)

#: All that is compared with TFLite Micro bit by bit; what has float32 outside is compared by tolerance.
EXACT = [
    blocks.BLOCKS_OF_BATCHES,
    blocks.DEPTH,
    chains.CHAINS,
    convolution.CONV_2D,
    convolution.DEPTHWISE_CONV_2D,
    convolution.FULLY_CONNECTED,
    convolution.TRANSPOSE_CONV,
    elementwise.ARITHMETIC,
    elementwise.EXTREMES,
    elementwise.PRELU,
    elementwise.SQUARED_DIFFERENCE,
    matrices.BATCH_MATMUL,
    movement.CONCATENATION,
    movement.MOVEMENT,
    movement.RESIZE_BILINEAR,
    movement.RESIZE_NEAREST_NEIGHBOR,
    pooling.POOLS,
    pooling.REDUCTIONS,
    recurrent.LSTM,
    unary.FUNCTIONS_OF_ONE_INT8,
    unary.L2_NORMALIZATION,
    unary.SOFTMAX,
]
