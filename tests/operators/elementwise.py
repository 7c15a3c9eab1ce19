"""Operators on two tensors, element by element."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.quantized import ACTIVATIONS, Drawn, scaled, scales, zero_points


@st.composite
def shapes(draw):
    """Two shapes that broadcast, and what they become."""
    output = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    a, b = ([n if draw(st.integers(0, 3)) else 1 for n in output] for _ in range(2))
    return a, b[draw(st.integers(0, len(b) - 1)) :], [max(pair) for pair in zip(a, b, strict=True)]


def add_arithmetic(trial, facts):
    a, b, output = facts["shapes"]
    output = [max(m, n) for m, n in zip(a, [1] * (len(a) - len(b)) + list(b), strict=True)]
    of, other = facts["a"], (float(np.float32(facts["a"][0] * facts["ratio"])), facts["zero_b"])
    x = trial.input(a, of)
    if facts["constant"]:
        y = trial.net.constant(trial.rng.integers(-128, 128, b).astype(np.int8), other)
    else:
        y = trial.input(b, other)
    if facts["name"] == "MUL":
        to = float(np.float32(of[0] * other[0] * 128 * facts["gain"]))
    else:
        to = float(np.float32(max(of[0], other[0]) * 2 * facts["gain"]))
    kept = {"fusedActivationFunction": facts["activation"]}
    trial.output(trial.op(facts["name"], [x, y], output, (to, facts["output_zero_point"]), **kept))


ARITHMETIC = Drawn(
    add_arithmetic,
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["ADD", "SUB", "MUL"]),
            "shapes": shapes(),
            "a": scaled(1e-3, 1.0),
            "zero_b": zero_points,
            "ratio": scales(0.01, 100),
            "gain": scales(0.1, 4),
            "output_zero_point": zero_points,
            "activation": ACTIVATIONS,
            "constant": st.booleans(),
        }
    ),
    together=16,
)


def add_float_arithmetic(trial, facts):
    a, b, output = facts["shapes"]
    output = [max(m, n) for m, n in zip(a, [1] * (len(a) - len(b)) + list(b), strict=True)]
    x = trial.reals(a, 10)
    if facts["constant"]:
        y = trial.net.constant((trial.rng.normal(size=b) + 3).astype(np.float32))
    else:
        y = trial.reals(b, 2)
        trial.inputs[-1][:] += 5
    kept = {"fusedActivationFunction": facts["activation"]}
    trial.output(trial.net.op(facts["name"], [x, y], output, **kept))


FLOAT_ARITHMETIC = Drawn(
    add_float_arithmetic,
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["ADD", "SUB", "MUL", "DIV"]),
            "shapes": shapes(),
            "activation": ACTIVATIONS,
            "constant": st.booleans(),
        }
    ),
)


def add_extremes(trial, facts):
    a, b, output = facts["shapes"]
    x, y = trial.input(a, facts["input"]), trial.input(b, facts["input"])
    kept = {"kind": "MaximumMinimumOptions"}
    trial.output(trial.op(facts["name"], [x, y], output, facts["input"], **kept))


EXTREMES = Drawn(
    add_extremes,
    st.fixed_dictionaries(
        {"name": st.sampled_from(["MAXIMUM", "MINIMUM"]), "shapes": shapes(), "input": scaled()}
    ),
)


def add_squared_difference(trial, facts):
    a, b, output = facts["shapes"]
    of, other = facts["a"], (float(np.float32(facts["a"][0] * facts["ratio"])), facts["zero_b"])
    x, y = trial.input(a, of), trial.input(b, other)
    reach = max(of[0], other[0]) * 2
    to = (float(np.float32(reach * reach * 64 * facts["gain"])), facts["output_zero_point"])
    trial.output(trial.op("SQUARED_DIFFERENCE", [x, y], output, to))


SQUARED_DIFFERENCE = Drawn(
    add_squared_difference,
    st.fixed_dictionaries(
        {
            "shapes": shapes(),
            "a": scaled(1e-3, 1.0),
            "zero_b": zero_points,
            "ratio": scales(0.02, 50),
            "gain": scales(0.02, 4),
            "output_zero_point": zero_points,
        }
    ),
)


def add_prelu(trial, facts):
    shape = facts["shape"]
    slopes = shape[facts["fewer"] :]
    slopes = [n if many else 1 for n, many in zip(slopes, facts["many"], strict=False)]
    of, spread = facts["input"], (facts["slope_scale"], facts["slope_zero_point"])
    x = trial.input(shape, of)
    y = trial.net.constant(trial.rng.integers(-128, 128, slopes).astype(np.int8), spread)
    to = (float(np.float32(of[0] * facts["ratio"])), facts["output_zero_point"])
    trial.output(trial.op("PRELU", [x, y], shape, to, kind="PreluOptions"))


PRELU = Drawn(
    add_prelu,
    st.fixed_dictionaries(
        {
            "shape": st.lists(st.integers(1, 5), min_size=4, max_size=4),
            "fewer": st.integers(1, 3),
            "many": st.lists(st.booleans(), min_size=3, max_size=3),
            "input": scaled(1e-3, 1.0),
            "slope_scale": scales(1e-4, 0.02),
            "slope_zero_point": zero_points,
            "ratio": scales(0.2, 4),
            "output_zero_point": zero_points,
        }
    ),
)
