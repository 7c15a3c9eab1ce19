"""Bytes of a wire into samples."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.blocks import Fault
from edge_sdk.sources._lines import MAX_DEVICES, MAX_LINE_BYTES, LineParser
from edge_sdk.sources._wire import Wire
from tests.unit.edge_sdk.collected import XYZ


def parsed(data, chunk=None, **options):
    parser = LineParser(**options)
    chunks = [data] if chunk is None else [data[i : i + chunk] for i in range(0, len(data), chunk)]
    items = [item for part in chunks for item in parser.feed(part)]
    items += parser.feed(b"\n")
    rows = [row.tolist() for item in items if not isinstance(item, Fault) for row in item]
    return rows, [item.reason for item in items if isinstance(item, Fault)], parser


@pytest.mark.parametrize(
    ("data", "rows", "faults"),
    [
        (b"1,2\n3,4\n", [[1, 2], [3, 4]], 0),
        (b"1,2\r\n\r\n# boot\r\n3,4", [[1, 2], [3, 4]], 0),
        (b"1,2\n3\n4,5,6\n7,8\n", [[1, 2], [7, 8]], 2),
        (b"1,2\nabc\n\xff\xfe,1\n3,4\n", [[1, 2], [3, 4]], 2),
        (b"1_0,2\n1,,2\n1,2,\n", [], 3),
        (b"[1, 2]\n[3, null, 5]\n{\n[3, 4]\n", [[1, 2], [3, 4]], 2),
        (b"x" * 3 * MAX_LINE_BYTES + b"\n1,2\n", [[1, 2]], 1),
        (b"[" * 4000 + b"\n1,2\n", [[1, 2]], 1),
    ],
)
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_lines_become_samples_and_garbage_becomes_faults(data, rows, faults, chunk):
    got, reasons, _ = parsed(data, chunk)
    assert got == rows
    assert reasons == ["garbage"] * faults


def test_a_header_names_the_channels_wherever_it_comes():
    rows, faults, parser = parsed(b"time,ax,ay,az\n0,1,2,3\ntime,ax,ay,az\n1,4,5,6\n", expected=XYZ)
    assert rows == [[0, 1, 2, 3], [1, 4, 5, 6]]
    assert not faults
    assert parser.channels == ("time", *XYZ)


def test_a_json_object_is_read_by_name():
    rows, faults, parser = parsed(b'{"az": 3, "ax": 1, "ay": 2, "t": 0}\n{"ax": 1}\n', expected=XYZ)
    assert rows == [[1, 2, 3]]
    assert faults == ["garbage"]
    assert parser.channels == XYZ


@pytest.mark.parametrize(("delimiter", "data"), [("tab", b"1\t2\n"), ("space", b"1   2\n"), (";", b"1;2\n")])
def test_other_delimiters(delimiter, data):
    assert parsed(data, delimiter=delimiter)[0] == [[1, 2]]


def test_a_line_that_began_before_we_listened_is_skipped_unless_it_is_a_whole_header():
    assert parsed(b"3.5,2\n1,2\n", mid_line=True)[0] == [[1, 2]]
    _, _, parser = parsed(b"ax,ay,az\n1,2,3\n", mid_line=True, expected=XYZ)
    assert parser.channels == XYZ


def devices_in(data, **options):
    """(device, rows) of each run, and the faults as (reason, device)."""
    parser = LineParser(device_key="device", **options)
    runs, faults = [], []
    for item in parser.feed(data):
        if isinstance(item, Fault):
            faults.append((item.reason, item.device))
        else:
            runs.append((parser.device, item.tolist()))
    return runs, faults


def test_objects_may_name_their_device():
    lines = (
        b'{"device": "w1", "ax": 1, "ay": 2, "az": 3}\n'
        b'{"ax": 7, "device": 7, "ay": 8, "az": 9}\n'
        b'{"device": "w1", "ax": 4, "ay": 5, "az": 6}\n'
        b'{"device": "w1", "ax": 4}\n'
        b"0,0,0\n"
    )
    runs, faults = devices_in(lines, expected=XYZ)
    assert runs == [("w1", [[1, 2, 3], [4, 5, 6]]), ("7", [[7, 8, 9]]), ("", [[0, 0, 0]])]
    assert faults == [("garbage", "w1")]
    assert devices_in(lines[:44])[0] == [("w1", [[1, 2, 3]])]


@pytest.mark.parametrize("name", ['""', "null", "true", "[1]", '"' + "x" * 129 + '"', '"a\\u001bb"', "1.5"])
def test_what_is_no_name_of_a_device_is_a_fault(name):
    line = f'{{"device": {name}, "ax": 1, "ay": 2, "az": 3}}\n'.encode()
    assert devices_in(line, expected=XYZ) == ([], [("device", "")])


def test_a_wire_names_so_many_devices_and_no_more():
    lines = b"".join(b'{"device": %d, "a": 1}\n' % number for number in range(MAX_DEVICES + 5))
    runs, faults = devices_in(lines)
    assert (len(runs), faults) == (MAX_DEVICES, [("device", "")] * 5)


def test_an_object_without_the_channels_is_garbage_and_names_nothing():
    for expected in (XYZ, ()):
        rows, faults, _ = parsed(b'{"boot": "ok"}\n{"ax": 1, "ay": 2, "az": 3, "t": 0}\n', expected=expected)
        assert (len(rows), faults) == (1, ["garbage"])
        assert rows[0][:3] == [1, 2, 3]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_break_the_parser_and_chunks_do_not_matter(data, chunk):
    whole, whole_faults, _ = parsed(data)
    parts, part_faults, _ = parsed(data, chunk)
    assert str(whole) == str(parts)  # as text, because nan is not nan
    assert whole_faults == part_faults


def test_a_pipe_that_is_faster_than_its_rate_never_goes_back_in_time():
    wire = Wire("stdin", LineParser(), 50.0, None, "press-7", piped=True)
    blocks = [block for _ in range(20) for block in wire.feed(b"1,2\n" * 25)]
    assert len(blocks) == 20
    for one, following in itertools.pairwise(blocks):
        assert following.time_s >= one.time_s + 25 / 50.0 - 1e-6
        assert following.wall_s >= one.wall_s + 25 / 50.0 - 0.1
