"""Messages of every form as blocks; what is none is one counted fault."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import Block, ConfigError, Fault
from edge_sdk.blocks import boottime_s
from edge_sdk.contract import Channel, Input
from edge_sdk.sources._payload import Payloads

XYZ = Input((Channel("ax", "g"), Channel("ay", "g")), 50.0, 8, 4)
NAN = float("nan")


def read(data, device="press-7", **options):
    data = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    return list(Payloads("test", **{"expected": XYZ, **options}).blocks(device, data))


def samples(data, **options):
    (block,) = read(data, **options)
    assert isinstance(block, Block), block
    assert block.samples.dtype == np.float32
    return block.samples.tolist()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"ax": 1, "ay": 2}, [[1, 2]]),
        ({"id": "x", "ay": 2, "t": [0], "ax": 1}, [[1, 2]]),
        ({"ax": [1, 3], "ay": [2, 4]}, [[1, 2], [3, 4]]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([{"ax": 1, "ay": 2}, {"ay": 4, "ax": 3}], [[1, 2], [3, 4]]),
        ({"samples": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ({"samples": {"ax": [1, 3], "ay": [2, 4]}}, [[1, 2], [3, 4]]),
        ({"samples": [{"ax": 1, "ay": 2}]}, [[1, 2]]),
        ({"ax": "1.5", "ay": True}, [[1.5, 1]]),
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("1,2", [[1, 2]]),
        ("ax,ay\n1,2\n3,4", [[1, 2], [3, 4]]),
        ('{"ax": 1, "ay": 2}\n{"ax": 3, "ay": 4}\n', [[1, 2], [3, 4]]),
        ("[1, 2]\n[3, 4]", [[1, 2], [3, 4]]),
        ("  \n[1, 2]  ", [[1, 2]]),
    ],
)
def test_every_form_of_a_message(message, expected):
    assert samples(message) == expected


def test_a_single_channel_may_come_as_a_list_or_a_number():
    one = Input((Channel("t", "degC"),), 1.0, 8, 4)
    assert samples([1, 2, 3], expected=one) == [[1], [2], [3]]
    assert samples({"samples": 4}, expected=one) == [[4]]
    assert samples("21.5", expected=one) == [[21.5]]
    assert samples("21.5", expected=one, format="json") == [[21.5]]


def test_no_number_is_a_sample_that_the_pipeline_counts():
    np.testing.assert_equal(samples('{"ax": null, "ay": 2}'), [[NAN, 2]])
    np.testing.assert_equal(samples("[[NaN, 1e999], [1, -Infinity]]"), [[NAN, np.inf], [1, -np.inf]])
    np.testing.assert_equal(samples("[1e300, 0]"), [[np.inf, 0]])


def test_packed_numbers():
    packed = np.array([[1, -2], [300, 4]], ">i2").tobytes()
    assert samples(packed, format="raw", dtype=">i2", scale=0.5) == [[0.5, -1], [150, 2]]
    assert samples(np.array([1.5, 2.5], "<f8").tobytes(), format="raw", dtype="<f8") == [[1.5, 2.5]]
    (fault,) = read(packed[:-1], format="raw", dtype=">i2")
    assert fault.reason == "garbage"


def test_names_come_from_the_message_then_the_option_then_the_model():
    (block,) = read({"channels": ["ay", "ax", "t"], "samples": [[1, 2, 3]]}, channels=("q", "r"))
    assert block.channels == ("ay", "ax", "t")
    (block,) = read([1, 2], channels=("ay", "ax"))
    assert block.channels == ("ay", "ax")
    (block,) = read([1, 2])
    assert block.channels == ("ax", "ay")
    (block,) = read({"t": 1, "who": "me", "h": 2, "rate_hz": 5}, expected=None, rate_hz=1)
    assert (block.channels, block.rate_hz) == (("t", "h"), 5)
    (block,) = read("ay,t,ax\n1,2,3")
    assert block.channels == ("ay", "t", "ax")


def test_the_last_sample_came_now_and_a_sender_s_clock_is_only_information():
    before = boottime_s()
    (block,) = read({"samples": [[0, 0]] * 51})
    assert before <= block.time_s + 1.0 <= boottime_s()
    assert abs(block.wall_s + 1.0 - time.time()) < 1
    (block,) = read({"ax": 1, "ay": 2, "time_s": 1e9, "rate_hz": 10})
    assert (block.wall_s, block.rate_hz) == (1e9, 10)
    (unset,) = read({"ax": 1, "ay": 2, "time_s": 0})
    assert unset.wall_s == 0
    assert before <= block.time_s <= boottime_s()


def test_a_bad_line_is_one_fault_and_a_gap():
    first, fault, second = read("1,2\nx\ny\n3,4\n5,6\n")
    assert (fault.reason, fault.samples, fault.device) == ("garbage", 2, "press-7")
    assert (first.gap, second.gap, second.samples.tolist()) == (False, True, [[3, 4], [5, 6]])
    assert second.time_s - first.time_s == pytest.approx(3 / 50)


def test_who_sent_it():
    (block,) = read({"device": "wrist", "ax": 1, "ay": 2}, device="")
    assert block.device == "wrist"
    (block,) = read({"device": "wrist", "ax": 1, "ay": 2}, device="topic")
    assert block.device == "topic"
    (block,) = read([1, 2], device="")
    assert block.device == ""
    for name in ("x" * 129, "a\nb", True, 1.5, ["x"], "\x1b[2J", "\ud800"):
        (fault,) = read({"device": name, "samples": [[1, 2], [3, 4]]}, device="")
        assert (fault.reason, fault.samples, fault.device) == ("device", 2, "")


def test_a_key_that_must_name_the_device():
    (block,) = read({"id": 7, "ax": 1, "ay": 2}, device="", device_key="id")
    assert block.device == "7"
    (block,) = read({"id": 7, "t": 1}, device="", device_key="id", expected=None, rate_hz=1)
    assert block.channels == ("t",)
    for message in ({"ax": 1, "ay": 2}, [1, 2], "1,2", {"device": "wrist", "ax": 1, "ay": 2}):
        (fault,) = read(message, device="", device_key="id")
        assert (fault.reason, fault.samples) == ("device", 1)


@pytest.mark.parametrize("message", ["", " \n ", "[]", '{"samples": []}', "[[]]", "# comment"])
def test_what_holds_nothing_is_no_fault(message):
    assert read(message) == []


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ("hello", 1),
        ({"ax": 1}, 1),
        ({"ax": [1, 2], "ay": [1]}, 2),
        ({"ax": 1, "ay": [1]}, 1),
        ({"ax": {"x": 1}, "ay": 2}, 1),
        ({"ax": "left", "ay": 2}, 1),
        ([1, 2, 3], 1),
        ([[1, 2], [3]], 2),
        ([[1, 2, 3], [3, 4, 5]], 2),
        ([{"ax": 1, "ay": 2}, {"ax": 1}], 2),
        ([{"ax": 1, "ay": 2}, 7], 2),
        ([[[1, 2]]], 1),
        ("true", 1),
        ('"ax"', 1),
        ('{"ax": 1, "ay": 2', 1),
        ("[" * 100_000, 1),
        ('{"ax":' * 40_000, 1),
        ("[" + "1" * 400 + ", 2]", 1),
        ("[" + "1" * 5000 + ", 2]", 1),
        ({"ax": 1, "ay": 2, "rate_hz": 0}, 1),
        ({"ax": 1, "ay": 2, "rate_hz": "50"}, 1),
        ({"ax": 1, "ay": 2, "rate_hz": True}, 1),
        ({"ax": 1, "ay": 2, "rate_hz": 1e-300}, 1),
        ({"ax": 1, "ay": 2, "rate_hz": 10**400}, 1),
        ({"ax": 1, "ay": 2, "time_s": 1.7e12}, 1),
        ({"ax": 1, "ay": 2, "time_s": -1}, 1),
        ({"ax": 1, "ay": 2, "time_s": NAN}, 1),
        ({"channels": ["ax", "ax"], "samples": [[1, 2]]}, 1),
        ({"channels": "ax", "samples": [[1, 2]]}, 1),
        ({"channels": [1, 2], "samples": [[1, 2]]}, 1),
        (b"\xff\xfe\x00", 1),
        (b"[1,\xff2]", 1),
        (b"\x00" * 1000, 1),
    ],
)
def test_garbage_is_one_fault(message, count):
    (fault,) = read(message)
    assert isinstance(fault, Fault)
    assert (fault.reason, fault.samples, fault.device) == ("garbage", count, "press-7")
    assert fault.detail.isprintable()
    assert len(fault.detail) < 300


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"ax": 1}, "no channel 'ay'"),
        ([1, 2, 3], "3 columns for the channels ax, ay"),
        ({"ax": 1, "ay": 2, "time_s": 1.7e12}, "time_s is not from 0 to 2.5"),
        ("{", "no samples of numbers"),
    ],
)
def test_a_fault_says_why(message, why):
    (fault,) = read(message)
    assert why in fault.detail


def test_a_message_is_bounded():
    (fault,) = read("[1, 2]" + " " * 100, max_bytes=100)
    assert fault.reason == "oversized"
    assert samples("[1, 2]" + " " * 94, max_bytes=100) == [[1, 2]]


def test_counting_what_is_thrown_away():
    payloads = Payloads("test", expected=XYZ)
    assert [payloads.count(m) for m in (b"[[1,2],[3,4]]", b"1,2\nx\n3,4", b"?", b"")] == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"expected": None}, "rate_hz is missing"),
        ({"dtype": "O"}, "dtype"),
        ({"dtype": "<i2,<f4"}, "dtype"),
        ({"expected": None, "rate_hz": 1.0, "format": "raw"}, "channels is missing"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        read("[1, 2]", **options)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["ax", "ay", "samples", "rate_hz", "time_s", "channels", "device", "z"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(VALUES | st.binary(max_size=60), st.sampled_from(["auto", "json", "csv", "raw"]), st.booleans())
def test_no_message_breaks_it(value, form, known):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    options = {} if known or form == "raw" else {"expected": None, "rate_hz": 1.0}
    for item in read(data, device="", format=form, **options):
        if isinstance(item, Block):
            assert item.samples.ndim == 2
            assert len(item.samples)
            assert item.channels == () or len(item.channels) == item.samples.shape[1]
            assert np.isfinite([item.time_s, item.wall_s, item.rate_hz]).all()
        else:
            assert item.samples >= 0
