import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.c import fixed_point

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


@given(st.floats(1e-9, 1e6))
def test_a_multiplier_is_the_factor(real: float) -> None:
    multiplier, shift = fixed_point.quantize_multiplier(real)
    assert (1 << 30) <= multiplier < 1 << 31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(real, rel=1e-9)


@pytest.mark.parametrize(
    ("real", "expected"),
    [(0.0, (0, 0)), (1.0, (1 << 30, 1)), (1 - 2.0**-40, (1 << 30, 1)), (2.0**-40, (0, 0))],
)
def test_multipliers_at_the_edges(real: float, expected: tuple[int, int]) -> None:
    assert fixed_point.quantize_multiplier(real) == expected


@given(INT32, st.integers(0, 31))
def test_division_rounds_halves_away_from_zero(value: int, exponent: int) -> None:
    exact = math.floor(abs(value) / 2**exponent + 0.5)
    assert fixed_point.divide(value, exponent) == math.copysign(exact, value)


@given(INT32, st.integers(0, (1 << 31) - 1), st.integers(-31, 0))
def test_multiplication_is_within_a_step_of_the_product(value: int, multiplier: int, shift: int) -> None:
    exact = value * multiplier / 2.0 ** (31 - shift)
    assert abs(int(fixed_point.multiply(value, multiplier, shift)) - exact) <= 1.01


@given(st.integers(-(1 << 40), 1 << 40))
def test_wrapping_keeps_32_bits(value: int) -> None:
    assert int(fixed_point.wrap(value)) == np.uint32(value & 0xFFFFFFFF).view(np.int32)


@given(st.floats(0, 30))
def test_functions_are_near_the_real_ones(x: float) -> None:
    steps = round(x * 2**26)
    assert fixed_point.exp(-steps, 5) / 2**31 == pytest.approx(math.exp(-steps / 2**26), abs=1e-6)
    steps = round(min(x, 15) * 2**27)
    near = steps / 2**27
    assert fixed_point.logistic(steps) / 2**31 == pytest.approx(1 / (1 + math.exp(-near)), abs=1e-6)
    assert fixed_point.tanh(-steps) / 2**31 == pytest.approx(-math.tanh(near), abs=1e-6)
