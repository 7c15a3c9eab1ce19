import contextlib
import functools
import itertools
import operator
import os
import pty
import socket
import struct
import threading
import time
import tty

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import open_source, recordings, registry
from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import ConfigError, DatasetError, Retry
from edge_sdk.recordings import Signal
from edge_sdk.sources._lines import MAX_DEVICES, MAX_LINE_BYTES, LineParser
from edge_sdk.sources._wire import Wire

XYZ = ("ax", "ay", "az")
WANTED = Input(tuple(Channel(name) for name in XYZ), 50.0, 8, 4)


def recording(path, n=23, rate_hz=50.0, channels=XYZ, seed=0):
    samples = np.random.default_rng(seed).normal(size=(n, len(channels))).astype(np.float32)
    recordings.write(path, Signal(samples, rate_hz, channels))
    return samples


def joined(items):
    return np.concatenate([item.samples for item in items if isinstance(item, Block)])


# --- lines -------------------------------------------------------------------------------------------------


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


# --- serial ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def wire():
    """A pseudo terminal: (what the sensor writes to, the port's name)."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    try:
        yield master, name
    finally:
        for file in (master, slave):
            with contextlib.suppress(OSError):
                os.close(file)


def collect(source, until, timeout_s=10.0):
    """Items of a source, read in another thread, until a condition holds."""
    items, errors = [], []

    def read():
        try:
            for item in source:
                items.append(item)  # noqa: PERF402 - seen by the other thread one by one
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + timeout_s
    while not until(items) and not errors and time.monotonic() < deadline:
        time.sleep(0.01)
    source.close()
    reader.join(5)
    assert not reader.is_alive(), "close did not end the iteration"
    if errors:
        raise errors[0]
    return items


def samples_in(items):
    return sum(len(item.samples) for item in items if isinstance(item, Block))


def test_a_serial_port_gives_blocks_with_faults_and_gaps_between():
    with wire() as (sensor, port):
        source = open_source(f"serial:{port}", device="wrist", timeout_s=60.0)
        source.expect(WANTED)
        os.write(sensor, b"5,2,3\n1,2,3\n4,5,6\nrubbish\n7,8,9\nnan,1,2\n")
        items = collect(source, lambda found: samples_in(found) >= 4)
    assert [type(item) for item in items] == [Block, Fault, Block]
    assert joined(items)[:3].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert np.isnan(joined(items)[3, 0])
    assert items[1].samples == 1
    assert items[2].gap
    assert not items[0].gap
    assert items[0].rate_hz == 50.0
    assert items[0].channels == XYZ
    assert {item.device for item in items} == {"wrist"}
    assert items[0].time_s < items[2].time_s


def test_devices_on_one_wire_are_streams_of_their_own_and_garbage_breaks_them_all():
    with wire() as (sensor, port):
        source = open_source(f"serial:{port}?device=stick")
        source.expect(WANTED)
        line = '{{"device": "{}", "ax": {}, "ay": 0, "az": 0}}\n'.format
        before = "\n" + line("a", 1) + line("b", 2) + line("a", 3) + "0,0,0\n"
        of_one = '{"device": "a", "ax": "?"}\n' + line("a", 4) + line("b", 5)
        of_any = "}{\n" + line("a", 6) + line("b", 7) + line("", 1)
        os.write(sensor, (before + of_one + of_any).encode())
        items = collect(source, lambda found: samples_in(found) == 8 and found[-1].device == "stick")
    seen = [
        (item.device, item.reason if isinstance(item, Fault) else item.samples[:, 0].tolist())
        for item in items
    ]
    assert seen == [
        ("a", [1, 3]), ("b", [2]), ("stick", [0]),
        ("a", "garbage"), ("a", [4]), ("b", [5]),
        ("stick", "garbage"), ("a", [6]), ("b", [7]), ("stick", "device"),
    ]  # fmt: skip
    gaps = [item.gap for item in items if isinstance(item, Block)]
    assert gaps == [False, False, False, True, False, True, True]


def test_packets_come_with_gaps_where_some_were_lost():
    with wire() as (sensor, port):
        options = (
            "format=struct&layout=<hh&sync=aa55&check=xor8&counter=u8&scale=0.5&offset=0,1&channels=ax,ay"
        )
        source = open_source(f"serial:{port}?{options}&rate_hz=50&device=wrist")
        os.write(
            sensor, b"".join(xor_packet(n, (n, -n)) for n in (1, 2, 7)) + b"noise" + xor_packet(8, (8, 8))
        )
        items = collect(source, lambda found: samples_in(found) == 4)
        assert source.missed == 4
    assert [type(item).__name__ for item in items] == ["Block", "Fault", "Block", "Fault", "Block"]
    assert joined(items).tolist() == [[0.5, 0.5], [1, 0], [3.5, -2.5], [4, 5]]
    assert [item.reason for item in items if isinstance(item, Fault)] == ["lost", "garbage"]
    assert [item.gap for item in items if isinstance(item, Block)] == [False, True, True]
    assert items[0].channels == ("ax", "ay")


def xor_packet(number, values):
    body = struct.pack("<Bhh", number, *values)
    return b"\xaa\x55" + body + bytes([functools.reduce(operator.xor, body)])


def test_what_cannot_be_packets_is_said_before_the_port_is_opened():
    serial = registry.find("sources", "serial")
    layout = {"format": "struct", "layout": "<hh", "sync": "aa55"}
    with pytest.raises(ConfigError, match="'layout' has 2 values: expected 3: ax, ay, az"):
        serial.preflight("/dev/nope", WANTED, **layout)
    with pytest.raises(ConfigError, match="serial: channels: expected ax, ay, az, found ax, ay"):
        serial.preflight("/dev/nope", WANTED, **layout, channels=("ax", "ay"))
    with pytest.raises(ConfigError, match="serial:/dev/nope: rate_hz is missing"):
        serial.preflight("/dev/nope", None)
    serial.preflight("/dev/nope", WANTED, **{**layout, "layout": "<hhh"})
    with pytest.raises(ConfigError, match="'layout': expected format=struct beside it"):
        open_source("serial:/dev/nope?layout=<hh")
    with pytest.raises(ConfigError, match="'layout': expected a struct such as <hhh"):
        open_source("serial:/dev/nope?format=struct&sync=aa")


def test_a_port_has_one_reader():
    with wire() as (_, port):
        with open_source(f"serial:{port}"), pytest.raises(Retry, match="another program uses it"):
            open_source(f"serial:{port}")
        open_source(f"serial:{port}").close()


def test_the_lines_that_reset_a_board_are_as_told():
    for state in ("true", "false"):
        with open_source(
            f"serial:loop://?dtr={state}&rts={state}"
        ) as source:  # a loop wires DTR to DSR, RTS to CTS
            assert (source.port.dsr, source.port.cts) == (state == "true",) * 2


def test_an_unplugged_port_is_worth_another_try():
    with wire() as (sensor, port):
        source = open_source(f"serial:{port}", rate_hz=50)
        os.write(sensor, b"\n1,2,3\n")

        def unplug(found):
            if found:
                with contextlib.suppress(OSError):  # asked again until the reader notices
                    os.close(sensor)
            return False

        with pytest.raises(Retry, match="the connection broke"):
            collect(source, unplug)


def test_a_port_that_is_not_there_is_worth_another_try():
    with pytest.raises(Retry, match="serial:/dev/nope: cannot be opened: found No such file"):
        open_source("serial:///dev/nope")


def test_silence_is_a_fault_each_time_anew():
    with wire() as (_, port):
        source = open_source(f"serial:{port}?rate_hz=50&timeout_s=0.2")
        items = collect(source, lambda found: len(found) >= 2)
    assert [item.reason for item in items[:2]] == ["silence", "silence"]


def test_a_socket_and_a_loop_are_ports_too():
    server = socket.create_server(("127.0.0.1", 0))
    source = open_source(f"serial:socket://127.0.0.1:{server.getsockname()[1]}", rate_hz=50)
    sensor, _ = server.accept()
    with server, sensor:
        sensor.sendall(b"0,0\n" + b"1,2\n" * 1000)
        assert joined(collect(source, lambda found: samples_in(found) == 1000)).shape == (1000, 2)
    source = open_source("serial:loop://", rate_hz=50)
    source.port.write(b"0,0\n1,2\n3,4\n")
    assert joined(collect(source, lambda found: samples_in(found) == 2)).tolist() == [[1, 2], [3, 4]]


def test_a_peer_that_closes_a_socket_is_worth_another_try():
    server = socket.create_server(("127.0.0.1", 0))
    source = open_source(f"serial:socket://127.0.0.1:{server.getsockname()[1]}", rate_hz=50)
    sensor, _ = server.accept()
    with server, source:
        sensor.sendall(b"0,0\n1,2\n")
        sensor.close()
        with pytest.raises(Retry, match="the connection broke"):
            list(source)
        with pytest.raises(Retry, match="the connection broke"):
            source._read()


def test_without_a_rate_or_a_model_serial_asks_for_one():
    with open_source("serial:loop://") as source, pytest.raises(ConfigError, match=r"add \?rate_hz="):
        next(iter(source))
    with pytest.raises(ConfigError, match="no port"):
        open_source("serial:")
    with pytest.raises(ConfigError, match="a port that pyserial opens"):
        open_source("serial:nosuch://x")
    with pytest.raises(ConfigError, match="delimiter"):
        next(iter(open_source("serial:loop://?delimiter=abc&rate_hz=1")))


# --- replay ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_a_replay_gives_every_sample_once_and_in_order(tmp_path, suffix):
    samples = recording(tmp_path / f"walk{suffix}")
    with open_source(f"replay:{tmp_path}/walk{suffix}?speed=max&block=4") as source:
        blocks = list(source)
    assert np.array_equal(joined(blocks), samples)
    assert [len(block.samples) for block in blocks] == [4, 4, 4, 4, 4, 3]
    assert [block.end for block in blocks] == [False] * 5 + [True]
    assert blocks[0].rate_hz == 50.0
    assert blocks[0].channels == XYZ
    steps = np.diff([block.time_s for block in blocks])
    assert np.allclose(steps, 4 / 50)


def test_a_wav_is_a_recording_too(tmp_path):
    pcm = np.arange(-400, 400, dtype="<i2")
    facts = (b"RIFF", 36 + 1600, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 1600)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", *facts)
    (tmp_path / "a.wav").write_bytes(head + pcm.tobytes())
    blocks = list(open_source(f"replay:{tmp_path}/a.wav?speed=0&channels=mic"))
    assert np.array_equal(joined(blocks)[:, 0], pcm / np.float32(32768))
    assert [(block.rate_hz, block.channels, len(block.samples)) for block in blocks] == [
        (8000.0, ("mic",), 800)
    ]


@pytest.mark.parametrize("place", ["", "/recordings/walk/*.csv", "/recordings"])
def test_a_folder_or_a_pattern_plays_each_file_as_its_own_stream(tmp_path, place):
    folder = tmp_path / "recordings" / "walk"
    folder.mkdir(parents=True)
    samples = [recording(folder / f"p{i}_1.csv", n=10 + i, seed=i) for i in range(3)]
    blocks = list(open_source(f"replay:{tmp_path}{place}", speed="max", block=100))
    assert [len(block.samples) for block in blocks] == [10, 11, 12]
    assert np.array_equal(joined(blocks), np.concatenate(samples))
    assert [block.gap for block in blocks] == [False, True, True]
    assert all(block.end for block in blocks)
    assert [block.time_s for block in blocks] == sorted(block.time_s for block in blocks)


def test_real_time_is_real_and_ten_times_is_ten_times(tmp_path):
    recording(tmp_path / "walk.csv", n=20)
    for speed, expected_s in ((1, 0.4), (10, 0.04)):
        started = time.monotonic()
        list(open_source(f"replay:{tmp_path}/walk.csv?speed={speed}"))
        assert expected_s <= time.monotonic() - started < expected_s + 5


def test_closing_ends_a_replay_soon(tmp_path):
    recording(tmp_path / "walk.csv", n=5000)
    started = time.monotonic()
    collect(open_source(f"replay:{tmp_path}/walk.csv?repeat=0&block=500"), lambda found: True)
    assert time.monotonic() - started < 5


def test_repeat_plays_it_again(tmp_path):
    recording(tmp_path / "walk.csv", n=5)
    assert len(list(open_source(f"replay:{tmp_path}/walk.csv?repeat=3&speed=max"))) == 3


def test_what_cannot_be_replayed_is_said(tmp_path):
    (tmp_path / "plain.csv").write_text("ax,ay\n1,2\n3,4\n")
    with pytest.raises(DatasetError, match=r"no sampling rate.*add \?rate_hz="):
        list(open_source(f"replay:{tmp_path}/plain.csv"))
    source = open_source(f"replay:{tmp_path}/plain.csv?speed=max")
    source.expect(WANTED)
    assert next(iter(source)).rate_hz == 50.0
    with pytest.raises(DatasetError, match="no such file or folder"):
        open_source(f"replay:{tmp_path}/nope.csv")
    (tmp_path / "empty").mkdir()
    for place in ("empty", "*.wav"):
        with pytest.raises(DatasetError, match="no recordings"):
            open_source(f"replay:{tmp_path}/{place}")
    for option in ("speed=-1", "block=0", "rate_hz=0", "repeat=-1"):
        with pytest.raises(ConfigError, match="expected a positive number"):
            open_source(f"replay:{tmp_path}/plain.csv?{option}")


def test_a_pipe_that_is_faster_than_its_rate_never_goes_back_in_time():
    wire = Wire("stdin", LineParser(), 50.0, None, "press-7", piped=True)
    blocks = [block for _ in range(20) for block in wire.feed(b"1,2\n" * 25)]
    assert len(blocks) == 20
    for one, following in itertools.pairwise(blocks):
        assert following.time_s >= one.time_s + 25 / 50.0 - 1e-6
        assert following.wall_s >= one.wall_s + 25 / 50.0 - 0.1
