"""Operators that make one of several elements: pools, MEAN, REDUCE_MAX."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.operators.convolution import WINDOW, options, window
from tests.quantized import ACTIVATIONS, Drawn, scaled, scales, zero_points


def add_pool(trial, facts):
    size = window({**facts, "dilation": (1, 1)})
    if size is None:
        return
    x = trial.input([facts["batch"], facts["height"], facts["width"], facts["channels"]], facts["input"])
    kept = {key: value for key, value in options(facts).items() if not key.startswith("dilation")}
    kept |= {"filterHeight": facts["kernel"][0], "filterWidth": facts["kernel"][1], "kind": "Pool2DOptions"}
    output = [facts["batch"], *size, facts["channels"]]
    trial.output(trial.op(facts["name"], [x], output, facts["input"], **kept))


POOLS = Drawn(
    add_pool,
    st.fixed_dictionaries(
        {
            **WINDOW,
            "input": scaled(),
            "activation": ACTIVATIONS,
            "name": st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
        }
    ),
)


def add_reduction(trial, facts):
    shape = facts["shape"]
    first, last = sorted(min(axis, len(shape) - 1) for axis in facts["axes"])
    reduced = range(first, last + 1)
    kept = [1 if i in reduced else n for i, n in enumerate(shape)]
    output = kept if facts["keep"] else [n for i, n in enumerate(shape) if i not in reduced]
    x = trial.input(shape, facts["input"])
    axes = trial.net.constant(np.array(reduced, np.int32))
    to = facts["input"]
    if facts["name"] in ("MEAN", "SUM") and facts["ratio"]:
        to = (float(np.float32(to[0] * facts["ratio"])), facts["output_zero_point"])
    y = trial.op(facts["name"], [x, axes], output, to, kind="ReducerOptions", keepDims=facts["keep"])
    trial.output(y)


REDUCTIONS = Drawn(
    add_reduction,
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["MEAN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"]),
            "shape": st.lists(st.integers(1, 7), min_size=2, max_size=4),
            "axes": st.tuples(st.integers(0, 3), st.integers(0, 3)),
            "keep": st.booleans(),
            "input": scaled(1e-3, 1.0),
            "ratio": st.one_of(st.none(), scales(0.1, 4)),
            "output_zero_point": zero_points,
        }
    ),
)
