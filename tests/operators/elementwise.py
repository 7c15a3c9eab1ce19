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
