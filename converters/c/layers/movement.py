"""Records of what moves elements as they are, or between their neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.c.layers.layer import Box, Layer


@dataclass(frozen=True, slots=True, eq=False)
class Copy(Layer):
    """Elements of `bytes` from a place to another."""

    kernel = "edgeml_copy"
    structure = "edgeml_copy_t"
    box: Box
    start_a: int
    start_b: int
    bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Fill(Layer):
    """One value everywhere."""

    kernel = "edgeml_fill"
    structure = "edgeml_fill_t"
    bytes: int
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class ResizeNearest(Layer):
    """RESIZE_NEAREST_NEIGHBOR: which row and column of the input each of the output is."""

    kernel = "edgeml_resize_nearest"
    structure = "edgeml_resize_nearest_t"
    batches: int
    input_height: int
    input_width: int
    output_height: int
    output_width: int
    bytes: int
    rows: NDArray[np.int16]
    columns: NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class ResizeBilinear(Layer):
    """RESIZE_BILINEAR: for each row of the output those above and below, and how far behind the first."""

    kernel = "edgeml_resize_bilinear"
    structure = "edgeml_resize_bilinear_t"
    batches: int
    input_height: int
    input_width: int
    output_height: int
    output_width: int
    channels: int
    rows: NDArray[np.int16]
    columns: NDArray[np.int16]
