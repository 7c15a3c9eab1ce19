"""Ticks keep to absolute deadlines and admit the ones they missed."""

import time

import pytest

from edge_sdk import ticks
from edge_sdk.blocks import boottime_s
from edge_sdk.clock import ClockState


def test_ticks_do_not_drift():
    started = time.monotonic()
    assert list(ticks(200.0, limit=21)) == list(range(21))
    assert 0.1 <= time.monotonic() - started < 5


def test_missed_deadlines_are_counted_not_caught_up():
    pace = ticks(100.0, limit=4)
    for tick in pace:
        if tick == 1:
            time.sleep(0.055)
    assert 3 <= pace.missed <= 20


@pytest.mark.parametrize("rate_hz", [0, -5.0])
def test_a_rate_must_be_positive(rate_hz):
    with pytest.raises(ValueError, match="positive rate"):
        ticks(rate_hz)


def test_the_boot_clock_goes_forward():
    first = boottime_s()
    assert boottime_s() >= first > 0


def test_the_clock_state_is_an_answer():
    assert ClockState().synced() in (True, False)
