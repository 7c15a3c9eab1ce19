import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.expression import FIELDS, Expression
from edge_sdk.prediction import Prediction

FALL = Prediction("fall", 0.9, None, np.zeros(3, np.float32), device="press-7", sequence=3, event="start")
REGRESSION = Prediction(None, None, -2.5, np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("event == 'start' and label == 'fall'", True),
        ("event == 'start' and label == 'walk'", False),
        ("label in ('fall', 'trip')", True),
        ("label not in ['fall', 'trip']", False),
        ("not (score > 0.95 or sequence < 3)", True),
        ("0.5 < score <= 0.9", True),
        ("value > 0", False),
        ("value is None", True),
        ("event != None", True),
        ("device == 'press-7'", True),
        ("clock_synced", True),
        ("score > 'a'", False),
        ("True", True),
    ],
)
def test_an_expression_says_which_predictions_are_wanted(text, holds):
    assert Expression(text)(FALL) is holds


def test_a_missing_field_is_neither_more_nor_less():
    assert not Expression("score > 0.1")(REGRESSION)
    assert not Expression("score <= 0.1")(REGRESSION)
    assert Expression("value < -2")(REGRESSION)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scor > 1", "unknown field 'scor' at column 1.*did you mean 'score'"),
        ("label == fall", "unknown field 'fall' at column 10.*a text stands in quotes: 'fall'"),
        ("label == ", "syntax error"),
        ("", "syntax error"),
        ("score > 0.5 and", "syntax error"),
        ("score >> > 0.5", "syntax error at column 10"),
        ("__import__('os').system('true')", "not allowed"),
        ("label.upper() == 'FALL'", "not allowed"),
        ("[x for x in label]", "not allowed"),
        ("score + 1 > 2", "not allowed"),
        ("lambda: 1", "not allowed"),
        ("label in 'falling'", "wants a list"),
        ("f'{label}' == 'a'", "not allowed"),
        ("outputs == 1", "unknown field 'outputs'"),
        ("label == 'x'" + " or label == 'x'" * 200, "too long"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, message):
    with pytest.raises(ConfigError, match=message):
        Expression(text)


def test_a_value_that_a_field_never_has_is_found_before_the_run():
    expression = Expression("label in ('fall', 'wlak') and event == 'start'")
    with pytest.raises(ConfigError, match="label is never 'wlak'.*did you mean 'walk'"):
        expression.check_values("label", ("fall", "walk"))
    expression.check_values("event", ("start", "end"))


@given(st.text(max_size=40))
def test_any_text_compiles_or_is_refused_and_never_runs_anything(text):
    try:
        Expression(text)(FALL)
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert "\n" not in message


@given(
    st.sampled_from(FIELDS),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_comparing_any_field_with_any_number_never_fails(field, operator, number):
    assert Expression(f"{field} {operator} {number!r}")(FALL) in (True, False)
