"""Records of layers that remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.c.layers.convolution import folded
from converters.c.layers.layer import Bytes, Ints, Layer


@dataclass(frozen=True, slots=True, eq=False)
class LstmPart(Layer):
    """What one operand gives to a gate: weights int8 [cells, operands]."""

    structure = "edgeml_lstm_part_t"
    zero_point: int
    weights: Bytes
    bias: Ints
    multiplier: int
    shift: int

    def fields(self) -> dict[str, Any]:
        """The zero point of the operand is within the bias."""
        return {
            "weights": self.weights,
            "bias": folded(self.bias, self.weights, self.zero_point, (1,)),
            "multiplier": self.multiplier,
            "shift": self.shift,
        }


@dataclass(frozen=True, slots=True, eq=False)
class LstmGate(Layer):
    """One of four."""

    structure = "edgeml_lstm_gate_t"
    input: LstmPart
    recurrent: LstmPart


@dataclass(frozen=True, slots=True, eq=False)
class Lstm(Layer):
    """UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with a cell of int16."""

    kernel = "edgeml_lstm"
    structure = "edgeml_lstm_t"
    batches: int
    steps: int
    inputs: int
    cells: int
    input_gate: LstmGate
    forget_gate: LstmGate
    cell_gate: LstmGate
    output_gate: LstmGate
    forget_multiplier: int
    forget_shift: int
    input_multiplier: int
    input_shift: int
    output_multiplier: int
    output_shift: int
    output_zero_point: int
    cell_clip: int
    tanh_multiplier: int
    tanh_shift: int
    sigmoid: Ints
