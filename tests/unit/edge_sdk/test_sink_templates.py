import doctest
import time
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.prediction import Prediction
from edge_sdk.sinks import _template
from edge_sdk.sinks._template import Template

ONE = Prediction(
    "fall", 0.9134, None, np.zeros(2, np.float32), "press-7", "r1", 12, wall_s=1.7e9, event="start"
)
VALUE = Prediction(None, None, 23.456789, np.zeros(1, np.float32), "boiler")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("{device}#{sequence} {label} {score:.2f} {event}", "press-7#12 fall 0.91 start"),
        ("{label:>8}|{score:6.1%}|{sequence:04d}", "    fall| 91.3%|0012"),
        ("{{{label}}}", "{fall}"),
        ("[{value:.1f}{fault}]", "[]"),
        ("{what}", "fall 0.91"),
    ],
)
def test_fields_are_filled_in(text, filled):
    assert Template(text, "text").fill(ONE) == filled


def test_a_value_is_told_where_there_is_no_label():
    assert Template("{what}/{label}/{value:.1f}", "text").fill(VALUE) == "23.4568//23.5"


def test_a_number_that_is_none_is_empty():
    broken = Prediction("fall", float("nan"), float("inf"), np.zeros(1), wall_s=float("nan"))
    assert Template("{what}|{score:.2f}|{value}|{time}", "text").fill(broken) == "fall|||"


@pytest.mark.parametrize("label", ["a\nb\r\nc", "\x1b[31m", "x" * 100_000, "a\0b"])
def test_a_hostile_label_stays_in_one_short_line(label):
    hostile = Prediction(label, 0.5, None, np.zeros(1))
    filled = Template("{label}", "text").fill(hostile)
    assert filled.isprintable()
    assert len(filled) < 1100


def test_a_label_with_braces_is_not_a_template():
    tricky = Prediction("{device} {0.__class__}", 0.5, None, np.zeros(1), "press-7")
    assert Template("{label}", "text").fill(tricky) == "{device} {0.__class__}"


def test_the_time_is_local_and_says_when_it_cannot_be_believed(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert Template("{time}", "text").fill(ONE) == "2023-11-14 22:13:20"
    unsynced = replace(ONE, clock_synced=False)
    assert Template("{time}", "text").fill(unsynced) == "2023-11-14 22:13:20 (clock not set)"
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("wall_s", [1e300, -1e300, float("inf")])
def test_a_clock_beyond_all_calendars(wall_s):
    assert Template("{time}", "text").fill(Prediction("x", 0.5, None, np.zeros(1), wall_s=wall_s)) == ""


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{lable}", "unknown field 'lable'.*did you mean 'label'"),
        ("{outputs}", "unknown field 'outputs'"),
        ("{}", "unknown field ''"),
        ("{0}", "unknown field '0'"),
        ("{label.__class__}", "unknown field"),
        ("{label[0]}", "unknown field"),
        ("{label", "expected '}'|fields in braces"),
        ("label}", "fields in braces"),
        ("{label:.2f}", "the format of {label}: expected one that suits it"),
        ("{score:>999999999}", "the format of {score}"),
        ("{score:.999999f}", "the format of {score}"),
        ("{score:{sequence}}", "the format of {score}"),
        ("{label!r}", "the format of {label}.*!r"),
    ],
)
def test_what_is_no_template_is_refused(text, match):
    with pytest.raises(ConfigError, match=match):
        Template(text, "text")


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(_template, extraglobs={"Prediction": Prediction, "np": np}).failed == 0
