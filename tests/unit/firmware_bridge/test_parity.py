"""Comparing what two engines said."""

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.errors import SpecError
from edge_sdk.runtimes import Port
from firmware_bridge.parity import Rule, compare_outputs, parity

INT8 = Port("scores", (1, 3), "int8", (1 / 256, -128))
FLOAT = Port("scores", (1, 3), "float32")


def said(*rows, dtype=np.int8):
    return [np.array(rows, dtype)[:, None]]


def test_equal_bits_are_no_mismatch():
    rows = said([1, 2, 3], [4, 5, 6])
    found = compare_outputs(rows, rows, [Rule(INT8)], 0)
    assert (found.cases, found.mismatches, found.elements, found.different) == (2, 0, 6, 0)
    assert (found.off_by_one, found.max_difference, found.argmax_agreement, found.first) == (
        0,
        0.0,
        1.0,
        None,
    )
    assert str(found) == "2 of 2 cases the same bits"


def test_counts_cases_and_elements_and_names_the_first():
    found = compare_outputs(
        said([1, 2, 3], [4, 5, 6], [7, 8, 9]), said([1, 2, 3], [4, 6, 6], [7, 12, 8]), [Rule(INT8)], 0
    )
    assert (found.mismatches, found.different, found.off_by_one) == (2, 3, 2)
    assert found.max_difference == 4 / 256
    assert found.argmax_agreement == pytest.approx(1 / 3)
    assert str(found.first) == "case 1, scores[1]: expected 5, found 6"


def test_the_winner_is_that_of_the_output_that_chooses():
    expected, found = said([9, 1, 1], [1, 9, 1]), said([9, 1, 1], [9, 8, 1])
    assert compare_outputs(expected, found, [Rule(INT8)], 0).argmax_agreement == 0.5
    assert compare_outputs(expected, found, [Rule(INT8)]).argmax_agreement is None


def test_a_tolerance_lets_differences_pass_and_still_counts_them():
    expected, found = said([10, 20, 30], [10, 20, 30]), said([12, 20, 30], [13, 20, 31])
    compared = compare_outputs(expected, found, [Rule(INT8, 1 / 256, 2.0)], 0)
    assert (compared.mismatches, compared.different, compared.off_by_one) == (1, 3, 1)
    assert compared.tolerance == 2 / 256
    assert str(compared) == ("1 of 2 cases not within 0.0078125; case 1, scores[0]: expected 10, found 13")


def test_a_float_output_is_off_by_one_step_of_what_it_is_made_of():
    expected, found = said([0.5, 0.25, 0.25], dtype=np.float32), said([0.5, 0.254, 0.25], dtype=np.float32)
    found[0][0, 0, 1] = np.float32(0.25 + 1 / 256)
    assert compare_outputs(expected, found, [Rule(FLOAT, 1 / 256)]).off_by_one == 1
    assert compare_outputs(expected, found, [Rule(FLOAT)]).off_by_one == 0


def test_bits_tell_zeros_apart_and_know_a_nan_again():
    nothing = said([0.0, np.nan, 1.0], dtype=np.float32)
    assert compare_outputs(nothing, nothing, [Rule(FLOAT)]).mismatches == 0
    negative = said([-0.0, np.nan, 1.0], dtype=np.float32)
    assert compare_outputs(nothing, negative, [Rule(FLOAT)]).mismatches == 1
    assert compare_outputs(nothing, negative, [Rule(FLOAT, 0.0, 0.1)]).mismatches == 0
    number = said([0.0, 1.0, 1.0], dtype=np.float32)
    compared = compare_outputs(number, nothing, [Rule(FLOAT, 0.0, 0.1)])
    assert (compared.mismatches, compared.max_difference) == (1, np.inf)


def test_every_output_counts():
    one, other = said([1, 2, 3]), said([1, 2, 4])
    second = Port("more", (1, 3), "int8")
    compared = compare_outputs([*one, *one], [*one, *other], [Rule(INT8), Rule(second)])
    assert (compared.mismatches, compared.elements) == (1, 6)
    assert compared.first.output == "more"


def test_refuses_answers_of_unlike_kinds():
    with pytest.raises(SpecError, match=r"expected int8 \[1, 3\], found float32 \[1, 3\]"):
        compare_outputs(said([1, 2, 3]), said([1, 2, 3], dtype=np.float32), [Rule(INT8)])


def test_two_interpreters_need_not_give_the_same_bits(linear_file, linear):
    windows = np.random.default_rng(2).normal(size=(5, *(linear.window, linear.channels))).astype(np.float32)
    with Model.load(linear_file) as one, Model.load(linear_file) as other:
        found = parity(one, other, windows)
        assert (found.cases, found.mismatches, found.argmax_agreement) == (5, 0, 1.0)
        assert found.tolerance > 0
        assert parity(one, other, windows, tolerance=0.0).tolerance == 0.0


def test_needs_windows(linear_file, linear):
    with Model.load(linear_file) as model, pytest.raises(SpecError, match="at least one"):
        parity(model, model, np.zeros((0, linear.window, linear.channels), np.float32))
