"""BATCH_MATMUL."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.quantized import Drawn, few, scaled, scales, small, zero_points


def add_batch_matmul(trial, facts):
    batches = [n if both else 1 for n, both in zip(facts["batches"], facts["both"], strict=True)]
    a = [*facts["batches"], facts["rows"], facts["inner"]]
    last = [facts["columns"], facts["inner"]] if facts["adj_y"] else [facts["inner"], facts["columns"]]
    b = [*batches[facts["fewer"] :], *last]
    if facts["swapped"]:
        a, b = [*batches, *a[-2:]], [*facts["batches"], *last]
    spread = facts["a"][0] * facts["b"][0] * np.sqrt(facts["inner"]) * 60 * facts["gain"]
    to = (float(np.float32(spread)), facts["output_zero_point"])
    x, y = trial.input(a, facts["a"]), trial.input(b, facts["b"])
    output = [*facts["batches"], facts["rows"], facts["columns"]]
    kept = {"kind": "BatchMatMulOptions", "adjX": False, "adjY": facts["adj_y"]}
    trial.output(trial.op("BATCH_MATMUL", [x, y], output, to, **kept))


BATCH_MATMUL = Drawn(
    add_batch_matmul,
    st.fixed_dictionaries(
        {
            "batches": st.tuples(few, few),
            "both": st.tuples(st.booleans(), st.booleans()),
            "fewer": st.integers(0, 2),
            "swapped": st.booleans(),
            "rows": small,
            "inner": st.integers(1, 40),
            "columns": small,
            "adj_y": st.booleans(),
            "a": scaled(),
            "b": scaled(),
            "gain": scales(0.01, 3),
            "output_zero_point": zero_points,
        }
    ),
)
