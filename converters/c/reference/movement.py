"""What moves elements as they are, or between their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers

_Arrays = Sequence[NDArray[Any]]


def places(size: Sequence[int], steps: Sequence[int]) -> NDArray[np.int64]:
    """int64 [elements of the box]: the place of each, in order."""
    indices = np.indices(size).reshape(len(size), -1)
    return np.asarray(steps, np.int64) @ indices


def copy(layer: layers.Copy, inputs: _Arrays, output: NDArray[Any]) -> None:
    """A box of elements from one place to another."""
    box = layer.box
    source = inputs[0][layer.start_a + places(box.size, box.step_a)]
    output[layer.start_b + places(box.size, box.step_b)] = source


def fill(layer: layers.Fill, _: _Arrays, output: NDArray[Any]) -> None:
    """One value in every byte."""
    output.view(np.int8)[:] = layer.value


def resize_nearest(layer: layers.ResizeNearest, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The nearest pixel of the input for each of the output."""
    shape = layer.batches, layer.input_height, layer.input_width, -1
    image = inputs[0].reshape(shape)
    output[:] = image[:, layer.rows.astype(int)][:, :, layer.columns.astype(int)].reshape(-1)


def resize_bilinear(layer: layers.ResizeBilinear, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The four nearest pixels, each times how near it is."""
    shape = layer.batches, layer.input_height, layer.input_width, layer.channels
    image = inputs[0].astype(np.int64).reshape(shape)
    above, below, down = layer.rows.astype(np.int64).reshape(-1, 3).T
    left, right, along = layer.columns.astype(np.int64).reshape(-1, 3).T
    down, along = down[:, None, None], along[:, None]
    high = image[:, above][:, :, left] * (1024 - along) + image[:, above][:, :, right] * along
    low = image[:, below][:, :, left] * (1024 - along) + image[:, below][:, :, right] * along
    total = high * (1024 - down) + low * down
    output[:] = (np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20)).reshape(-1)
