"""What destinations write is exact, short, and JSON."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import Prediction


@given(st.floats(width=32))
def test_every_float32_comes_back_exactly_and_what_is_no_number_is_null(value):
    outputs = np.array([value], np.float32)
    told = json.loads(json.dumps(Prediction(None, None, value, outputs).as_dict(), allow_nan=False))
    for written in (told["value"], *told["outputs"]):
        if math.isfinite(value):
            assert np.float32(written) == np.float32(value)
        else:
            assert written is None


@pytest.mark.parametrize(("value", "written"), [(0.91, "0.91"), (1 / 256, "0.00390625"), (1.0, "1.0")])
def test_numbers_are_short(value, written):
    assert (
        json.dumps(Prediction("a", float(np.float32(value)), None, np.zeros(1)).as_dict()["score"]) == written
    )


def test_a_prediction_reads_as_a_line():
    score = Prediction("fall", 0.914, None, np.zeros(2), "wrist", sequence=7, event="start")
    assert str(score) == "wrist#7  fall 0.91  start"
    assert str(Prediction(None, None, 21.5, np.zeros(1), "boiler", sequence=0)) == "boiler#0  21.5"
