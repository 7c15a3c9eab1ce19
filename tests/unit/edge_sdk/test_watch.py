from itertools import chain

import numpy as np
import pytest

from edge_sdk.blocks import Block
from edge_sdk.contract import Channel, Input
from edge_sdk.watch import SensorSettings, SensorWatch, Watched

WANTED = Input((Channel("t", "degC", (-40.0, 60.0)), Channel("free")), 50.0, 100, 50)
RNG = np.random.default_rng(0)


def noise(n):
    return RNG.normal(size=(n, 2)).astype(np.float32)


def block(samples, at_s, rate_hz=50.0, **more):
    return Block(samples, rate_hz, ("t", "free"), "cellar", time_s=at_s, **more)


class Watching:
    """A watch on one device, fed a block at a time."""

    def __init__(self, **settings):
        self.watch = SensorWatch(SensorSettings(**settings), WANTED)
        self.device, self.at_s = Watched(), 0.0

    def feed(self, samples, took_s=None, live=True, **more):
        """The faults that begin with these samples, which take as long as they say, or as long as is said."""
        faults = list(self.watch.begun(self.device, block(samples, self.at_s, **more), samples, live=live))
        self.at_s += len(samples) / 50.0 if took_s is None else took_s
        return [fault.reason for fault in faults]


def test_what_is_no_number_or_out_of_range_is_no_sample():
    watch = SensorWatch(SensorSettings(), WANTED)
    samples = np.zeros((6, 2), np.float32)
    assert watch.good(samples) is None
    samples[1, 0], samples[2, 1], samples[3, 0], samples[4, 1] = np.nan, np.inf, 71.0, 1e30
    assert watch.good(samples).tolist() == [True, False, False, False, True, True]
    assert (watch.describe(samples[1:2]), watch.describe(samples[3:4])) == ("not_a_number", "range")


def test_the_range_has_a_margin_for_what_clips_just_outside():
    samples = np.array([[69.9, 0]], np.float32)
    assert SensorWatch(SensorSettings(), WANTED).good(samples) is None
    assert SensorWatch(SensorSettings(range_margin=0.0), WANTED).good(samples) is not None


def test_without_a_contract_only_numbers_are_wanted():
    watch = SensorWatch(SensorSettings(), None)
    assert watch.good(np.full((1, 5), 3e38, np.float32)) is None
    assert watch.good(np.full((1, 5), np.nan, np.float32)) is not None


def test_a_sensor_that_hangs_is_noticed_once_and_forgiven_when_it_moves():
    it = Watching(stuck_s=10.0)
    same = np.full((25, 2), 1.0, np.float32)
    reasons = [it.feed(same) for _ in range(30)]
    assert list(chain.from_iterable(reasons)) == ["stuck"]
    assert 20 <= reasons.index(["stuck"]) <= 23  # ten seconds, give or take a look
    assert it.device.fault == "stuck"
    assert it.watch.troubled == {"cellar": "stuck: no change for 10 s"}
    assert it.feed(noise(25)) == []
    assert (it.device.fault, it.watch.troubled) == (None, {})
    assert list(chain.from_iterable(it.feed(same) for _ in range(30))) == ["stuck"]


def test_one_channel_that_moves_is_enough():
    it = Watching(stuck_s=2.0)
    for _ in range(30):
        samples = noise(25)
        samples[:, 0] = 20.0
        assert it.feed(samples) == []


@pytest.mark.parametrize(("factor", "reasons"), [(1.0, []), (1.04, []), (1.2, ["rate"]), (0.25, ["rate"])])
def test_the_rate_is_measured_and_not_believed(factor, reasons):
    it = Watching(jitter_s=60.0)
    found = list(chain.from_iterable(it.feed(noise(5), took_s=0.1 * factor) for _ in range(300)))
    assert found == reasons
    assert it.device.fault == (reasons[0] if reasons else None)


def test_a_recording_has_no_rate_to_measure_but_may_be_stuck():
    it = Watching(stuck_s=5.0)
    same = np.ones((50, 2), np.float32)
    assert list(chain.from_iterable(it.feed(same, took_s=9.0, live=False) for _ in range(20))) == ["stuck"]


def test_a_jump_in_time_is_jitter_and_a_gap_that_the_source_admits_is_not():
    it = Watching()
    for _ in range(10):
        assert it.feed(noise(5)) == []
    it.at_s += 3.0
    assert it.feed(noise(5)) == ["jitter"]
    for _ in range(18):  # as long as a window of 100 may hold the jump
        assert it.feed(noise(5)) == []
        assert it.device.fault == "jitter"
    assert it.feed(noise(10)) == []
    assert it.feed(noise(5)) == []
    assert it.device.fault is None
    it.at_s += 30.0
    assert it.feed(noise(5), gap=True) == []
    assert it.device.fault is None


def test_after_a_gap_no_window_holds_the_jump_before_it():
    it = Watching()
    it.feed(noise(5))
    it.at_s += 3.0
    assert it.feed(noise(5)) == ["jitter"]
    assert it.feed(noise(5), gap=True) == []
    assert (it.device.fault, it.watch.troubled) == (None, {})


def test_of_two_faults_the_one_that_stays_is_still_told():
    it = Watching(stuck_s=2.0)
    same = np.ones((25, 2), np.float32)
    assert list(chain.from_iterable(it.feed(same) for _ in range(6))) == ["stuck"]
    it.at_s += 9.0
    assert it.feed(same) == ["jitter"]
    for _ in range(4):
        assert it.feed(same) == []
    assert (it.device.fault, it.watch.troubled["cellar"]) == ("stuck", "stuck: no change for 2 s")


def test_zero_switches_a_check_off():
    it = Watching(stuck_s=0.0, rate_tolerance=0.0, jitter_s=0.0)
    assert (
        list(chain.from_iterable(it.feed(np.ones((50, 2), np.float32), took_s=7.0) for _ in range(50))) == []
    )


def test_a_wave_that_comes_back_to_the_same_value_twice_a_second_is_not_stuck():
    it = Watching(stuck_s=5.0)
    beat = np.zeros((25, 2), np.float32)
    beat[0] = 1.0
    for _ in range(200):
        for sample in beat:
            assert it.feed(sample[None]) == []
