import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.blocks import Block, Fault
from edge_sdk.errors import SpecError
from edge_sdk.fusion import Fusion, FusionSettings

NAMES = ("ax", "ay", "temp")


def fusion(max_age_s=1.0, wanted=NAMES, **more):
    return Fusion(FusionSettings(max_age_s=max_age_s, **more), ["imu", "thermo"], wanted, device="press-7")


def imu(first, n=10, at_s=0.0, rate_hz=10.0, **more):
    values = np.arange(first, first + n, dtype=np.float32)
    return Block(np.stack([values, -values], axis=1), rate_hz, ("ax", "ay"), time_s=at_s, **more)


def thermo(value, at_s, **more):
    return Block(np.array([[value]], np.float32), 1.0, ("temp",), time_s=at_s, **more)


def taken(it, *steps):
    out = []
    for source, item in steps:
        out += list(it.take(source, item, 0.0))
        assert it.samples.balanced
    return out


def test_every_sample_of_the_clock_is_a_row_with_what_held_then():
    it = fusion(max_age_s=2.0)
    (row,) = taken(
        it, ("thermo", thermo(20.0, 0.0)), ("thermo", thermo(21.0, 0.45)), ("imu", imu(0, at_s=0.0))
    )
    assert (row.channels, row.device, row.rate_hz, row.time_s) == (NAMES, "press-7", 10.0, 0.0)
    np.testing.assert_array_equal(row.samples[:, 2], [20] * 5 + [21] * 5)
    np.testing.assert_array_equal(row.samples[:, 0], range(10))
    assert it.samples.used == 12


def test_a_value_from_the_future_waits_for_its_time():
    it = fusion()
    rows = taken(
        it,
        ("thermo", thermo(1.0, 0.0)),
        ("thermo", thermo(2.0, 0.95)),
        ("imu", imu(0, 5, at_s=0.0)),
        ("imu", imu(5, 5, at_s=0.5)),
        ("imu", imu(10, 5, at_s=1.0)),
    )
    assert [float(row.samples[0, 2]) for row in rows] == [1.0, 1.0, 2.0]
    assert [row.gap for row in rows] == [True, False, False]


def test_what_is_too_old_is_missing_and_no_window_spans_the_hole():
    it = fusion(max_age_s=0.35)
    rows = taken(
        it, ("thermo", thermo(1.0, 0.0)), ("thermo", thermo(2.0, 0.75)), ("imu", imu(0, 10, at_s=0.0))
    )
    blocks = [row for row in rows if isinstance(row, Block)]
    assert [row.reason for row in rows if isinstance(row, Fault)] == ["stale"]
    assert [block.samples[:, 0].tolist() for block in blocks] == [[0, 1, 2, 3], [8, 9]]
    assert blocks[1].gap
    assert it.samples.dropped == {"stale": 4}
    assert it.faults == {"stale": 1}


def test_before_every_sensor_has_spoken_there_is_no_row():
    it = fusion()
    assert taken(it, ("imu", imu(0))) == []
    assert it.samples.dropped == {"missing": 10}
    (row,) = taken(it, ("thermo", thermo(5.0, 1.0)), ("imu", imu(10, at_s=1.0)))
    assert row.gap


def test_a_fault_of_the_clock_breaks_the_stream_and_one_of_another_is_only_told():
    it = fusion(max_age_s=9.0)
    taken(it, ("thermo", thermo(1.0, 0.0)), ("imu", imu(0)))
    told = taken(it, ("thermo", Fault("garbage", 1)), ("imu", imu(10, at_s=1.0)))
    assert [told[0].reason, told[1].gap] == ["garbage", False]
    told = taken(it, ("imu", Fault("garbage", 1)), ("imu", imu(20, at_s=2.0)))
    assert [told[0].reason, told[1].gap] == ["garbage", True]


def test_a_missing_number_of_the_clock_is_a_gap():
    it = fusion(max_age_s=9.0)
    taken(it, ("thermo", thermo(1.0, 0.0)))
    numbers = (1, 2, 4, 5)
    rows = [row for n in numbers for row in it.take("imu", imu(n, at_s=float(n)), 0.0, n)]
    assert [row.gap for row in rows] == [True, False, True, False]


def test_devices_are_joined_apart():
    it = fusion(by_device=True)
    rows = taken(
        it,
        ("thermo", thermo(1.0, 0.0, device="a")),
        ("thermo", thermo(2.0, 0.0, device="b")),
        ("imu", imu(0, 3, device="b")),
        ("imu", imu(0, 3, device="a")),
        ("imu", imu(0, 3, device="c")),
    )
    assert [(row.device, float(row.samples[0, 2])) for row in rows] == [("b", 2.0), ("a", 1.0)]


def test_channels_that_nobody_has_are_named():
    it = fusion(wanted=("ax", "ay", "pressure"))
    with pytest.raises(SpecError, match="expected ax, ay, pressure, found ax, ay, temp"):
        taken(it, ("thermo", thermo(1.0, 0.0)), ("imu", imu(0)))


def test_a_clock_that_is_away_fills_no_memory():
    it = fusion()
    for i in range(6000):
        taken(it, ("thermo", thermo(float(i), i * 0.01)))
    assert it.samples.pending == 4096
    it.finish()
    assert it.samples.pending == 0
    assert it.samples.balanced


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 2.0)), max_size=40), st.floats(0.05, 3.0))
def test_rows_are_what_a_backward_join_gives(steps, max_age_s):
    """For each sample of the clock, the newest value that came before it, if that is not too old."""
    it, sent, rows, expected = fusion(max_age_s=max_age_s), [], [], []
    clock_s = held_s = 0.0
    for is_clock, step_s in steps:
        if is_clock:
            at_s, clock_s = clock_s, clock_s + 0.3
            rows += taken(it, ("imu", imu(len(expected), 3, at_s=at_s)))
            for k in range(3):
                before = [s for s in sent if s[0] <= at_s + k / 10]
                if not any(s[0] <= at_s for s in sent):
                    continue
                newest = before[-1]
                if at_s + k / 10 - newest[0] <= max_age_s:
                    expected.append(newest[1])
        else:
            held_s = max(held_s + step_s, clock_s - 0.3)
            sent.append((held_s, float(len(sent))))
            taken(it, ("thermo", thermo(sent[-1][1], held_s)))
    got = [float(v) for row in rows if isinstance(row, Block) for v in row.samples[:, 2]]
    assert got == expected
