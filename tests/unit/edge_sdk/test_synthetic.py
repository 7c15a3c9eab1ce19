"""Synthetic sensors: what they send, when, and what goes wrong with them on demand."""

import itertools
import threading
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import From, Pipeline, open_source, registry
from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.plugins import check_url
from edge_sdk.sources._mishaps import Course, Mishap

XYZ = "channels=ax,ay,az&rate_hz=50&speed=max"


def items_of(query, seconds=60, waveform="sine"):
    return list(open_source("&".join(filter(None, [f"synthetic:{waveform}?{XYZ}&seconds={seconds}", query]))))


def by_device(items):
    found = defaultdict(list)
    for item in items:
        found[item.device].append(item)
    return found


def joined(blocks):
    return np.concatenate([block.samples for block in blocks])


# --- signals -----------------------------------------------------------------------------------------------


def test_a_sine_is_one():
    blocks = items_of("amplitude=1,2,3&offset=5&freq_hz=2&phase=0,0.25,0&noise=0")
    t = np.arange(3000)[:, None] / 50
    expected = 5 + np.array([1, 2, 3]) * np.sin(2 * np.pi * (2 * t + np.array([0, 0.25, 0])))
    np.testing.assert_allclose(joined(blocks), expected, atol=1e-5)
    assert [block.end for block in blocks] == [False] * 599 + [True]
    assert {(b.channels, b.rate_hz, b.device, b.gap) for b in blocks} == {
        (("ax", "ay", "az"), 50.0, "", False)
    }


@pytest.mark.parametrize(
    ("waveform", "expected"),
    [
        ("square", [1, 1, 1, 1, 1, -1, -1, -1, -1, -1]),
        ("saw", [-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8]),
        ("impulse", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("constant", [0] * 10),
    ],
)
def test_other_waveforms(waveform, expected):
    signal = joined(items_of("freq_hz=5&phase=0&noise=0&amplitude=2&offset=1", waveform=waveform))
    np.testing.assert_allclose(signal[:, 1], np.tile(1 + 2 * np.array(expected), 300), atol=1e-5)


@pytest.mark.parametrize("waveform", ["noise", "walk", "sine"])
def test_what_is_random_stays_in_its_range_and_comes_again_for_the_seed(waveform):
    signal = joined(items_of("seed=3", 700, waveform))
    assert np.array_equal(signal, joined(items_of("seed=3", 700, waveform)))
    assert not np.array_equal(signal, joined(items_of("seed=4", 700, waveform)))
    assert 0.5 < np.abs(signal).max() < 1.1
    assert np.array_equal(signal[:100], signal[30_000:30_100])
    # No seam where it repeats.
    steps = np.abs(np.diff(signal, axis=0))
    assert waveform == "noise" or (steps[29_999] <= steps[:29_000].max()).all()


def test_each_channel_may_have_a_waveform_of_its_own():
    signal = joined(items_of("noise=0&amplitude=1", 10, "sine,constant,noise"))
    assert np.ptp(signal[:, 1]) == 0
    assert np.ptp(signal[:, 0]) == pytest.approx(2, abs=0.01)
    assert len(np.unique(signal[:, 2])) == len(signal)


def test_a_model_tells_channels_rate_and_ranges():
    source = open_source("synthetic:?speed=max&seconds=20&noise=0")
    source.expect(Input((Channel("t", "degC", (0.0, 100.0)), Channel("x")), 200.0, 8, 4))
    blocks = list(source)
    signal = joined(blocks)
    assert (blocks[0].channels, blocks[0].rate_hz, len(blocks[0].samples)) == (("t", "x"), 200.0, 20)
    np.testing.assert_allclose([signal.min(axis=0), signal.max(axis=0)], [[25, -1], [75, 1]], rtol=0.005)


def test_many_devices_take_turns_and_differ():
    found = by_device(items_of("devices=30", 10))
    assert list(found) == [f"device-{n:04}" for n in range(1, 31)]
    assert all(len(joined(blocks)) == 500 and blocks[-1].end for blocks in found.values())
    starts = [blocks[0].time_s for blocks in found.values()]
    assert np.allclose(np.diff(starts), 0.1 / 30)
    assert len({joined(blocks).tobytes() for blocks in found.values()}) == 30
    order = [item.time_s for item in items_of("devices=30", 10)]
    assert order == sorted(order)
    assert set(by_device(items_of("devices=2&device=press", 1))) == {"press-0001", "press-0002"}


@pytest.mark.parametrize("seconds", [0.02, 0.1, 1.03, 7.77])
def test_it_lasts_as_long_as_it_should(seconds):
    blocks = items_of("block=7", seconds)
    assert len(joined(blocks)) == round(seconds * 50)
    assert [block.end for block in blocks] == [False] * (len(blocks) - 1) + [True]


@pytest.mark.parametrize("speed", ["1", "20", "max"])
def test_time_stamps_are_those_of_the_samples_at_any_speed(speed):
    before_s, before_wall_s, started = boottime_s(), time.time(), time.monotonic()
    source = open_source(f"synthetic:?channels=a&rate_hz=100&seconds=0.6&speed={speed}")
    blocks = list(source)
    took_s = time.monotonic() - started
    assert np.allclose(np.diff([block.time_s for block in blocks]), 0.1)
    assert 0 <= blocks[0].time_s - before_s < 5
    assert 0 <= blocks[0].wall_s - before_wall_s < 5
    if speed != "max":
        assert took_s >= 0.6 / float(speed)
    assert source.live == (speed != "max")


def test_a_reader_that_is_late_is_counted_and_loses_nothing():
    source = open_source("synthetic:?channels=a&rate_hz=1000&block=10&seconds=0.5")
    sizes = []
    for block in source:
        if not sizes:
            time.sleep(0.2)
        sizes.append(len(block.samples))
    assert sum(sizes) == 500
    assert source.missed >= 15


@pytest.mark.parametrize(
    ("query", "live", "many"),
    [
        ("seed=1", True, False),
        ("speed=20&devices=2", True, True),
        ("speed=max&devices=1", False, False),
        ("speed=0", False, False),
    ],
)
def test_a_pipeline_is_told_whether_it_is_live_and_many(query, live, many):
    part = From(f"synthetic:?{query}")
    pipeline = Pipeline("m.tflite", [part])
    assert (pipeline.is_live(part), pipeline.has_many(part)) == (live, many)


# --- faults ------------------------------------------------------------------------------------------------


def test_silence_loses_samples_and_says_so_by_a_gap():
    items = items_of("silence=10s/2s")
    assert len(items) == 600 - 5 * 20
    steps = np.round(np.diff([item.time_s for item in items]), 3)
    assert Counter(steps.tolist()) == {0.1: 494, 2.1: 5}
    assert [item.gap for item in items[1:]] == [step > 2 for step in steps]


def test_numbers_that_are_none():
    blocks = items_of("nan=20s/1s")
    bad = np.isnan(joined(blocks)).all(axis=1)
    assert bad.sum() == np.isnan(joined(blocks)).any(axis=1).sum() == 2 * 50
    assert np.flatnonzero(np.diff(bad)).tolist() == [999, 1049, 1999, 2049]


def test_stuck_values_and_values_out_of_range():
    stuck = joined(items_of("stuck=20s/10s"))
    assert np.array_equal(stuck[1000:1500], np.tile(stuck[999], (500, 1)))
    assert not np.array_equal(stuck[1500], stuck[999])
    signal = joined(items_of(""))
    for option, size in (("range=20s/10s", 10), ("range=20s/10s/40", 40)):
        away = joined(items_of(option)) - signal
        assert np.allclose(away[1000:1500], size)
        assert not away[:1000].any()


def test_what_is_stuck_is_a_value_that_was():
    both = joined(items_of("stuck=20s/10s&nan=19.9s&range=19.9s"))
    assert np.isnan(both[995:1000]).all()
    assert np.array_equal(both[1000:1490], np.tile(joined(items_of(""))[999], (490, 1)))


def test_garbage_is_a_fault_for_each_block():
    items = items_of("garbage=20s/0.5s")
    faults = [item for item in items if isinstance(item, Fault)]
    assert [(fault.reason, fault.samples) for fault in faults] == [("garbage", 5)] * 10
    pairs = itertools.pairwise(items)
    after = [item for before, item in pairs if isinstance(before, Fault) and isinstance(item, Block)]
    assert [block.gap for block in after] == [True, True]


def test_a_wrong_rate_shows_in_the_times_and_stays_behind():
    times = np.array([block.time_s for block in items_of("rate=20s/10s/0.5")])
    steps = np.round(np.diff(times), 4)
    assert Counter(steps.tolist()) == {0.1: 399, 0.2: 200}
    assert np.isclose(times[-1] - times[0], 59.9 + 20)


def test_jitter_comes_late_and_never_in_another_order():
    blocks = items_of("jitter=0.05/0.1s/1.5")
    late_s = np.array([b.time_s for b in blocks]) - blocks[0].time_s - 0.1 * np.arange(600)
    assert 1 < late_s.max() <= 1.5 + 0.1
    assert (late_s >= -1e-6).all()
    assert (np.diff([b.time_s for b in blocks]) >= -1e-9).all()
    assert np.array_equal(joined(blocks), joined(items_of("")))


def test_chance_strikes_as_often_as_it_says_and_each_device_by_itself():
    items = items_of("devices=50&garbage=0.02", 60)
    counts = Counter(item.device for item in items if isinstance(item, Fault))
    assert sum(counts.values()) == pytest.approx(50 * 600 * 0.02, rel=0.2)
    assert len(counts) == 50
    assert len(set(counts.values())) > 5
    again = [(i.device, isinstance(i, Fault)) for i in items_of("devices=50&garbage=0.02", 60)]
    assert again == [(i.device, isinstance(i, Fault)) for i in items]
    assert again != [(i.device, isinstance(i, Fault)) for i in items_of("devices=50&garbage=0.02&seed=1", 60)]


def test_unplugged_is_worth_another_try_and_begins_anew():
    signals = []
    for _ in range(2):
        source, blocks = open_source(f"synthetic:?{XYZ}&unplug=5s"), []
        with pytest.raises(Retry, match="synthetic: unplugged: found its option unplug=5s"):
            blocks.extend(source)
        signals.append(joined(blocks))
    assert len(signals[0]) == 250
    assert np.array_equal(*signals)


def test_a_hang_stops_everything_for_a_while_and_then_all_comes():
    source = open_source("synthetic:?channels=a&rate_hz=100&block=10&seconds=1&hang=0.3s/0.4s")
    arrivals, samples = [], 0
    for block in source:
        arrivals.append(time.monotonic())
        samples += len(block.samples)
    assert samples == 100
    assert max(np.diff(arrivals)) >= 0.35
    assert source.missed >= 1


@pytest.mark.parametrize("query", ["hang=0.1s/600s", "silence=1/600s", "block=100000", "devices=500"])
def test_closing_ends_it_soon_whatever_it_is_doing(query):
    source = open_source(f"synthetic:?channels=a&rate_hz=100&{query}")
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    time.sleep(0.3)
    source.close()
    source.close()
    reader.join(1)
    assert not reader.is_alive()


@given(
    st.one_of(
        st.builds(lambda p: {"chance": p}, st.floats(0.01, 1)),
        st.builds(lambda n: {"every": n}, st.integers(1, 50)),
    ),
    st.integers(1, 20),
    st.lists(st.integers(0, 40), max_size=50),
)
def test_what_holds_at_a_block_does_not_depend_on_when_it_is_asked(facts, lasts, steps):
    mishap = Mishap("nan", lasts=lasts, **facts)
    every, some = Course(mishap, "1/a"), Course(mishap, "1/a")
    asked = np.cumsum(steps).tolist()
    held = [every.holds(block) for block in range(max(asked, default=0) + 1)]
    assert [some.holds(block) for block in asked] == [held[block] for block in asked]
    begun = sum(a and not b for a, b in zip(held, [False, *held], strict=False))
    assert begun <= 1 + len(held) // min(mishap.every or 1, lasts + 1) * (1 if mishap.every else 2)


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("speed=-1", "option 'speed'"),
        ("devices=1000000", "option 'devices'"),
        ("seconds=0", "option 'seconds'"),
        ("nan=2", "option 'nan': expected a chance or a period, a duration, a size: 0.01, 30s"),
        ("nan=30s/", "option 'nan'"),
        ("nan=30s/1/2", "option 'nan'"),
        ("nan=-3s", "option 'nan'"),
        ("hang=often", "option 'hang'"),
        ("amplitude=1,2", "option 'amplitude': expected 1 or 3, as many as channels, found 2"),
        ("freq_hz=26", "option 'freq_hz': expected 0 to half of 50 Hz, found 26"),
    ],
)
def test_a_mistake_is_said_before_anything_runs(query, message):
    with pytest.raises(ConfigError, match=message):
        checked(f"synthetic:sine?channels=a,b,c&rate_hz=50&{query}")


def checked(url):
    """As `edgeml check` does."""
    plugin, location, options = check_url("sources", url)
    plugin.preflight(location, None, **options)


def test_an_unknown_waveform_or_no_model_is_said():
    with pytest.raises(ConfigError, match="waveform: expected one of sine, square, saw.*found sinus"):
        items_of("", waveform="sinus")
    with pytest.raises(ConfigError, match=r"channels is missing; add \?channels="):
        list(open_source("synthetic:?rate_hz=50"))
    with pytest.raises(ConfigError, match=r"rate_hz is missing; add \?rate_hz="):
        registry.find("sources", "synthetic").preflight("sine", None, channels=("a",))
