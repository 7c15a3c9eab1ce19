"""A long short-term memory, gate by gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import multiply

_Values = NDArray[Any]


def lstm(layer: layers.Lstm, inputs: Sequence[NDArray[Any]], output: NDArray[Any]) -> None:
    """Inputs are the sequence, the hidden state and the cell; both are changed."""
    x = inputs[0].astype(np.int64).reshape(layer.batches, layer.steps, layer.inputs)
    hidden = inputs[1].reshape(layer.batches, layer.cells)
    cell = inputs[2].reshape(layer.batches, layer.cells)
    made = output.reshape(layer.batches, layer.steps, layer.cells)
    for t in range(layer.steps):
        gates = [
            _saturate(_part(gate.input, x[:, t]) + _part(gate.recurrent, hidden))
            for gate in (layer.input_gate, layer.forget_gate, layer.cell_gate, layer.output_gate)
        ]
        enter, stay, leave = (_sigmoid(layer.sigmoid, gates[n]) for n in (0, 1, 3))
        offered = _tanh(layer.sigmoid, 3 * gates[2])
        kept = _saturate(multiply(stay * cell, layer.forget_multiplier, layer.forget_shift))
        added = _saturate(multiply(enter * offered, layer.input_multiplier, layer.input_shift))
        total = _saturate(kept + added)
        if layer.cell_clip > 0:
            total = np.clip(total, -layer.cell_clip, layer.cell_clip)
        cell[:] = total
        half = (1 << layer.tanh_shift) >> 1
        bent = _tanh(layer.sigmoid, (total * layer.tanh_multiplier + half) >> layer.tanh_shift)
        value = multiply(bent * leave, layer.output_multiplier, layer.output_shift)
        hidden[:] = np.clip(value + layer.output_zero_point, -128, 127)
        made[:, t] = hidden


def _part(part: layers.LstmPart, x: _Values) -> _Values:
    sums = (x.astype(np.int64) - part.zero_point) @ part.weights.astype(np.int64).T + part.bias
    return _saturate(multiply(sums, part.multiplier, part.shift))


def _saturate(value: _Values) -> _Values:
    return np.clip(value, -32768, 32767)


def _sigmoid(table: _Values, x: _Values) -> _Values:
    """Between entries of the table, in units of 2^-15; x in units of 2^-12."""
    distance = np.abs(3 * x)
    at = np.minimum(distance >> 9, 254)
    steps = table.astype(np.int64)
    value = (steps[at] << 9) + (distance & 511) * (steps[at + 1] - steps[at])
    value = np.where(distance >> 9 >= 255, 0x7FFF << 10, value)
    return np.where(x < 0, (1 << 25) - value + 511, value + 512) >> 10


def _tanh(table: _Values, x: _Values) -> _Values:
    """Between entries of the table, in units of 2^-15; x in units of 1/6144."""
    distance = np.abs(x)
    at = np.minimum(distance >> 8, 254)
    steps = table.astype(np.int64)
    value = (steps[at] << 8) + (distance & 255) * (steps[at + 1] - steps[at])
    value = np.where(distance >> 8 >= 255, 0xFFFF << 8, value)
    return np.where(x < 0, (1 << 23) - value + 127, value - (1 << 23) + 128) >> 8
