"""UNIDIRECTIONAL_SEQUENCE_LSTM, as Keras makes it."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import strategies as st

from tests.quantized import Drawn, few, scaled, scales, zero_points

#: No peephole, no projection, no normalisation.
NONE = -1


def variable(trial, shape, dtype, of):
    index = trial.net._tensor(shape, dtype, of)
    trial.net._graph.tensors[index].isVariable = True
    return index


def add_lstm(trial, facts):
    inputs, cells, of = facts["inputs"], facts["cells"], facts["input"]
    hidden = facts["hidden"]

    def weights(columns):
        values = trial.rng.integers(-127, 128, (cells, columns)).astype(np.int8)
        scale = np.array([facts["weight_scale"] * trial.rng.uniform(0.5, 2)], np.float32)
        return trial.weights(values, scale)

    x = trial.input([facts["batch"], facts["steps"], inputs], of)
    parts = [x, *(weights(inputs) for _ in range(4)), *(weights(cells) for _ in range(4)), *[NONE] * 3]
    for _ in range(4):
        values = trial.rng.integers(-(1 << 12), 1 << 12, cells).astype(np.int32)
        parts.append(trial.weights(values, np.array([of[0] * facts["weight_scale"]], np.float32)))
    parts += [NONE, NONE, variable(trial, [facts["batch"], cells], "int8", hidden)]
    parts += [variable(trial, [facts["batch"], cells], "int16", (2.0 ** facts["cell"], 0)), *[NONE] * 4]
    kept = {"kind": "UnidirectionalSequenceLSTMOptions", "cellClip": facts["clip"], "timeMajor": False}
    kept["fusedActivationFunction"] = schema.ActivationFunctionType.TANH
    output = [facts["batch"], facts["steps"], cells]
    trial.output(trial.op("UNIDIRECTIONAL_SEQUENCE_LSTM", parts, output, hidden, **kept))


LSTM = Drawn(
    add_lstm,
    st.fixed_dictionaries(
        {
            "batch": st.integers(1, 2),
            "steps": few,
            "inputs": st.integers(1, 20),
            "cells": st.integers(1, 20),
            "input": scaled(1e-3, 0.1),
            "hidden": st.tuples(scales(1 / 256, 1 / 100), zero_points),
            "weight_scale": scales(1e-3, 0.02),
            "cell": st.integers(-15, -8),
            "clip": st.sampled_from([0.0, 0.0, 1.5]),
        }
    ),
    together=4,
)
