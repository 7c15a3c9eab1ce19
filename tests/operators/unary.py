"""Operators on one tensor, element by element."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.quantized import Drawn, few, scaled, scales, zero_points

UNARY = ["ABS", "ELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "QUANTIZE", "RELU", "RELU6", "RSQRT", "TANH"]
#: TFLite Micro has these in float32 only, or not at all.
OF_LITERT = ["EXP", "GELU", "LOG", "SQRT"]
#: None is told of what is below zero.
OF_POSITIVE = {"LOG", "RSQRT", "SQRT"}

FIXED = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}


def add_unary(trial, facts):
    name, of = facts["name"], facts["input"]
    if name in OF_POSITIVE:
        of = (of[0], -128)
    to = FIXED.get(name, (float(np.float32(of[0] * facts["ratio"])), facts["output_zero_point"]))
    if name == "RELU6":
        to = of
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    x = trial.input([1, 256], of)
    trial.inputs[-1][:] = every
    kept = {"alpha": facts["alpha"]} if name == "LEAKY_RELU" else {}
    if name == "GELU":
        kept = {"approximate": facts["approximate"]}
    trial.output(trial.op(name, [x], [1, 256], to, **kept))


FACTS = {
    "input": scaled(1e-3, 1.0),
    "output_zero_point": zero_points,
    "ratio": scales(0.05, 20),
    "alpha": st.floats(-1, 1.5, width=32),
    "approximate": st.booleans(),
}
FUNCTIONS_OF_ONE_INT8 = Drawn(
    add_unary, st.fixed_dictionaries({**FACTS, "name": st.sampled_from(UNARY)}), together=32
)
#: No result leaves 32 bits, where those of float32 are not defined.
FUNCTIONS_OF_LITERT = Drawn(
    add_unary,
    st.fixed_dictionaries({**FACTS, "name": st.sampled_from(OF_LITERT), "input": scaled(1e-3, 0.05)}),
    together=32,
)


def add_softmax(trial, facts):
    x = trial.input([facts["rows"], facts["depth"]], facts["input"])
    y = trial.op("SOFTMAX", [x], [facts["rows"], facts["depth"]], (1 / 256, -128), beta=facts["beta"])
    trial.output(y)


SOFTMAX = Drawn(
    add_softmax,
    st.fixed_dictionaries(
        {
            "rows": few,
            "depth": st.integers(1, 40),
            "input": scaled(1e-4, 2.0),
            "beta": st.sampled_from([1.0, 1.0, 0.25, 3.0]),
        }
    ),
)


def add_conversions(trial, facts):
    shape = [1, 40]
    x = trial.reals(shape, facts["input"][0] * 60)
    trial.inputs[-1][1] = (trial.rng.integers(-300, 300, shape) + 0.5) * np.float32(facts["input"][0])
    q = trial.op("QUANTIZE", [x], shape, facts["input"])
    trial.output(q)
    trial.output(trial.net.op("DEQUANTIZE", [q], shape))


CONVERSIONS = Drawn(add_conversions, st.fixed_dictionaries({"input": scaled(1e-3, 100)}))


def add_l2_normalization(trial, facts):
    shape = [facts["rows"], facts["depth"]]
    x = trial.input(shape, facts["input"])
    if facts["near"]:
        trial.inputs[-1][:] = facts["input"][1] + trial.rng.integers(-2, 3, trial.inputs[-1].shape) // 2
    trial.output(trial.op("L2_NORMALIZATION", [x], shape, (1 / 128, 0), kind="L2NormOptions"))


L2_NORMALIZATION = Drawn(
    add_l2_normalization,
    st.fixed_dictionaries(
        {
            "rows": few,
            "depth": st.integers(1, 70),
            "input": st.tuples(scales(), st.integers(-127, 126)),
            "near": st.booleans(),
        }
    ),
)
