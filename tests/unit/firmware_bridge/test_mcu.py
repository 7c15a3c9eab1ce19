"""What a board streams becomes blocks and predictions, at the time of this machine's clock."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import SpecError
from edge_sdk.prediction import Prediction
from firmware_bridge.link import BoardPrediction, Hello, SensorBlock, TensorSpec
from firmware_bridge.sources import _readings
from firmware_bridge.sources._clock import BoardClock
from firmware_bridge.sources._readings import Readings

XYZ = Input(tuple(Channel(name) for name in ("ax", "ay", "az")), 50.0, 8, 4)
SCORES = TensorSpec("scores", "int8", (1, 3), 1 / 256, -128, 3)
VALUE = TensorSpec("value", "float32", (1, 1), 0.0, 0, 4)


@pytest.fixture
def clock(monkeypatch):
    """This machine's, s: it is set to where it stands."""
    now = [1000.0]
    monkeypatch.setattr(_readings, "boottime_s", lambda: now[0])
    monkeypatch.setattr("edge_sdk.prediction.boottime_s", lambda: now[0])
    monkeypatch.setattr(_readings.time, "time", lambda: now[0] + 5e8)
    return now


def readings(*, outputs=(SCORES,), wanted=XYZ, channels=(), device="wrist", take="any"):
    hello = Hello(1, "m", "sha256:ab", 100, "cortex-m4", "ns", 1, 1, 1024, True, (), tuple(outputs))
    return Readings(hello, wanted, channels, device, take)


def prediction(*parts, counter=0, lost=0, time_us=0):
    return BoardPrediction(counter, lost, time_us, parts)


def block(n=4, *, columns=3, counter=0, lost=0, time_us=0, rate_hz=50.0):
    samples = np.arange(n * columns, dtype=np.float32).reshape(n, columns)
    return SensorBlock(counter, lost, time_us, samples, rate_hz)


def test_a_prediction_is_in_the_units_of_the_outputs(clock):
    (found,) = readings().read(prediction(np.array([-128, 0, 127], np.int8).tobytes()))
    assert isinstance(found, Prediction)
    assert found.outputs.tolist() == [0.0, 0.5, 255 / 256]
    assert (found.device, found.time_s, found.wall_s) == ("wrist", 1000.0, 5e8 + 1000)


def test_of_several_outputs_all_come_one_behind_the_other(clock):
    parts = np.array([-128, 0, 127], np.int8).tobytes(), np.array([36.5], "<f4").tobytes()
    (found,) = readings(outputs=(SCORES, VALUE)).read(prediction(*parts))
    assert found.outputs.tolist() == [0.0, 0.5, 255 / 256, 36.5]


def test_a_prediction_of_other_bytes_than_the_board_said_is_garbage():
    for parts in ([b"12"], [b"123", b"1234"], [b"1234"], []):
        (found,) = readings().read(prediction(*parts))
        assert (found.reason, found.gap) == ("garbage", True)


def test_a_block_has_the_names_and_the_rate_of_the_model(clock):
    (found,) = readings().read(block())
    assert isinstance(found, Block)
    assert (found.channels, found.rate_hz, found.device) == (("ax", "ay", "az"), 50.0, "wrist")
    assert found.time_s == pytest.approx(1000 - 4 / 50)
    assert found.wall_s == pytest.approx(found.time_s + 5e8)
    assert next(readings(channels=("x", "y", "z")).read(block())).channels == ("x", "y", "z")
    assert next(readings().read(block(columns=6))).channels == ()
    assert next(readings().read(block(rate_hz=0.0))).rate_hz == 50.0
    with pytest.raises(SpecError, match="channels of wrist: expected 6, as it sends, found x, y, z"):
        list(readings(channels=("x", "y", "z")).read(block(columns=6)))


@pytest.mark.parametrize("rate_hz", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_block_at_no_rate_is_garbage_with_its_samples(rate_hz):
    (found,) = readings(wanted=None).read(block(rate_hz=rate_hz))
    assert (found.reason, found.samples, found.device) == ("garbage", 4, "wrist")


def test_what_was_lost_is_said_first_and_is_a_gap():
    lost, found = readings().read(block(counter=3, lost=2))
    assert lost == Fault("lost", 0, "2 messages of the stream are missing", "wrist", gap=True)
    assert isinstance(found, Block)


def test_what_is_not_wanted_is_left_out_but_not_what_was_lost():
    said, sampled = prediction(b"\0\0\0"), block()
    assert [type(item) for item in readings(take="samples").read(sampled)] == [Block]
    assert [type(item) for item in readings(take="predictions").read(said)] == [Prediction]
    assert list(readings(take="samples").read(said)) == []
    assert list(readings(take="predictions").read(sampled)) == []
    assert [item.reason for item in readings(take="predictions").read(block(lost=1))] == ["lost"]


def test_times_are_the_board_s_on_this_machine_s_clock(clock):
    reader = readings()
    found = []
    for n in range(20):
        clock[0] = 1000 + n / 10 + (0.03 if n % 3 else 0.002)  # some are late
        found += reader.read(prediction(b"\0\0\0", counter=n, time_us=5_000_000 + n * 100_000))
    apart = np.diff([each.time_s for each in found])
    assert apart == pytest.approx(np.full(19, 0.1), abs=0.03)
    assert found[-1].time_s == pytest.approx(1001.9, abs=0.02)


def test_a_clock_that_was_set_is_a_fault_and_time_goes_on(clock):
    reader = readings()
    list(reader.read(prediction(b"\0\0\0", time_us=9_000_000)))
    clock[0] += 0.1
    fault, found = reader.read(prediction(b"\0\0\0", counter=1, time_us=100_000))
    assert (fault.reason, fault.gap) == ("clock", False)
    assert found.time_s == clock[0]
    clock[0] += 0.1
    (found,) = reader.read(prediction(b"\0\0\0", counter=2, time_us=200_000))
    assert found.time_s == pytest.approx(clock[0])


@settings(max_examples=30)
@given(drift=st.floats(-0.02, 0.02), late_s=st.floats(0.0, 0.2), seed=st.integers(0, 99))
def test_a_clock_that_drifts_is_followed(drift, late_s, seed):
    """Two minutes at 5 Hz, each message late by up to so much; one in a stretch comes at once."""
    rng, board, off = np.random.default_rng(seed), BoardClock(), []
    for n in range(600):
        true_s = 50 + n / 5
        board_s = 7 + (true_s - 50) * (1 + drift)
        assert board.note(board_s, true_s + (rng.uniform(0, late_s) if n % 4 else 0.001))
        off.append(board.at(board_s) - true_s)
    assert board.drift == pytest.approx(1 / (1 + drift) - 1, abs=2e-4)
    assert np.abs(off[50:]).max() < 0.002 + late_s / 50
    assert max(off) <= late_s + 0.001 + 1e-9


def test_messages_that_pile_up_do_not_move_the_clock():
    board = BoardClock()
    for n in range(100):
        board.note(n / 10, 500 + n / 10)
    for n in range(100, 140):  # nobody read for four seconds
        assert board.note(n / 10, 514)
    assert board.at(13.9) == pytest.approx(513.9)
    assert board.drift == pytest.approx(0.0, abs=1e-9)
