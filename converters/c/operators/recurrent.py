"""UNIDIRECTIONAL_SEQUENCE_LSTM as Keras makes it: no peephole, no projection, no normalisation."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.c.fixed_point import quantize_multiplier
from converters.c.layers import Lstm, LstmGate, LstmPart
from converters.c.operation import Operation, Step, UnsupportedError, scaled
from converters.c.tables import sigmoid

#: Inputs of the operator by number: weights of the four gates, what is remembered.
_INPUT, _RECURRENT, _BIAS, _HIDDEN, _CELL = 1, 5, 12, 18, 19
_PEEPHOLES, _PROJECTION, _NORMS = (9, 10, 11), (16, 17), (20, 21, 22, 23)
#: Steps of a gate before and behind its activation.
_BEFORE, _BEHIND = 2.0**-12, 2.0**-15
#: int16 of working memory for each cell, bytes: EDGEML_LSTM_GATES.
_SCRATCH_BYTES = 4 * 2


def unidirectional_sequence_lstm(o: Operation) -> list[Step]:
    """Hidden state and cell stay from one inference to the next.

    Source: tensorflow/lite/micro/kernels/lstm_eval_common.cc.
    """
    extra = [o.input(n) for n in (*_PEEPHOLES, *_PROJECTION, *_NORMS) if o.has(n)]
    if extra:
        raise UnsupportedError("has a peephole, a projection or a normalisation", *extra)
    if o.option("fusedActivationFunction") != schema.ActivationFunctionType.TANH:
        raise UnsupportedError("does not bend with tanh", o.output())
    data, hidden, cell = o.input(), o.input(_HIDDEN), o.input(_CELL)
    o.need("int8", data, hidden, o.output())
    o.need("int16", cell)
    if len(data.shape) != 3 or (o.option("timeMajor") and data.shape[1] > 1):
        raise UnsupportedError("is not [batch, time, features]", data)
    cells, cell_scale = o.input(_RECURRENT).shape[0], float(cell.scale[0])
    batch = data.shape[1] if o.option("timeMajor") else data.shape[0]
    o.fit(hidden.elements == cell.elements == batch * cells, hidden, cell)
    o.fit(o.output().elements == data.shape[0] * data.shape[1] * cells, data, o.output())
    for gate in range(4):
        o.fit(o.input(_INPUT + gate).shape == (cells, data.shape[2]), data, o.input(_INPUT + gate))
        o.fit(o.input(_RECURRENT + gate).shape == (cells, cells), o.input(_RECURRENT + gate))
    o.fit(hidden.variable and cell.variable, hidden, cell)
    power = math.log2(cell_scale)
    if power != round(power) or not -24 <= power <= 0:
        raise UnsupportedError("has a scale that is no power of two", cell)
    over = 15 + int(power) - 3
    forget = quantize_multiplier(_BEHIND * cell_scale / cell_scale)
    added = quantize_multiplier(_BEHIND * _BEHIND / cell_scale)
    output = quantize_multiplier(_BEHIND * _BEHIND / float(hidden.scale[0]))
    clip = min(max(float(np.float32(o.option("cellClip", 0.0))) / cell_scale, -32768.0), 32767.0)
    batches, steps = (data.shape[1], data.shape[0]) if o.option("timeMajor") else data.shape[:2]
    layer = Lstm(
        batches=batches,
        steps=steps,
        inputs=data.shape[2],
        cells=cells,
        input_gate=_gate(o, 0),
        forget_gate=_gate(o, 1),
        cell_gate=_gate(o, 2),
        output_gate=_gate(o, 3),
        forget_multiplier=forget[0],
        forget_shift=forget[1],
        input_multiplier=added[0],
        input_shift=added[1],
        output_multiplier=output[0],
        output_shift=output[1],
        output_zero_point=scaled(hidden)[1],
        cell_clip=int(clip),
        tanh_multiplier=3 << max(over, 0),
        tanh_shift=max(-over, 0),
        sigmoid=sigmoid(),
    )
    state = o.op.inputs[_HIDDEN], o.op.inputs[_CELL]
    step = o.step(layer, 0, scratch_bytes=_SCRATCH_BYTES * cells)
    return [Step(step.op, layer, step.inputs, step.output, step.scratch_bytes, state=state)]


def _gate(o: Operation, gate: int) -> LstmGate:
    bias = o.constant(_BIAS + gate) if o.has(_BIAS + gate) else None
    none = np.zeros(o.input(_RECURRENT + gate).shape[0], np.int32)
    o.fit(bias is None or bias.shape == none.shape, o.output())
    return LstmGate(
        _part(o, _INPUT + gate, 0, none if bias is None else bias), _part(o, _RECURRENT + gate, _HIDDEN, none)
    )


def _part(
    o: Operation, weights: int, operand: int, bias: np.ndarray[tuple[int], np.dtype[np.int32]]
) -> LstmPart:
    tensor, of = o.input(weights), o.input(operand)
    if tensor.dtype != "int8" or tensor.scale.size != 1 or np.any(tensor.zero_point):
        raise UnsupportedError("has weights that are not int8, symmetric and of one scale", tensor)
    multiplier, shift = quantize_multiplier(float(of.scale[0]) * float(tensor.scale[0]) / _BEFORE)
    return LstmPart(scaled(of)[1], o.constant(weights), bias, multiplier, shift)
