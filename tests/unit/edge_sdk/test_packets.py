"""Packets: whatever lies between them, and however they are split, the same samples come out."""

import binascii
import itertools
import struct
import time
from functools import reduce
from operator import xor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_sdk.blocks import Fault
from edge_sdk.errors import ConfigError
from edge_sdk.sources._packets import PacketParser
from edge_sdk.sources._packing import MAX_PACKET_BYTES, Packing

SYNC = bytes.fromhex("aa55")
CHECKS = {
    "none": lambda body: b"",
    "sum8": lambda body: bytes([sum(body) % 256]),
    "xor8": lambda body: bytes([reduce(xor, body)]),
    "crc16": lambda body: binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little"),
}
SAMPLES = st.lists(st.tuples(*[st.integers(-(2**15), 2**15 - 1)] * 3), min_size=1, max_size=12)


def stuffed(body):
    """COBS as its paper's listing writes it, with the closing zero."""
    out, run = bytearray(), bytearray()
    for byte in body:
        if byte:
            run.append(byte)
        if not byte or len(run) == 254:
            out += bytes([len(run) + 1]) + run
            run.clear()
    return bytes(out + bytes([len(run) + 1]) + run + b"\0")


def packet(values, check="none", framing="sync", number=None):
    body = (b"" if number is None else bytes([number % 256])) + struct.pack("<3h", *values)
    body += CHECKS[check](body)
    return stuffed(body) if framing == "cobs" else SYNC + body


def parsed(data, chunks=None, *, mid_packet=False, channels=(), **packing):
    parser = PacketParser(Packing(**{"layout": "<hhh", **packing}), channels, mid_packet=mid_packet)
    cuts = [0, *sorted(min(cut, len(data)) for cut in chunks or ()), len(data)]
    items = []
    for start, stop in itertools.pairwise(cuts):
        items += parser.feed(data[start:stop])
    rows = [tuple(row) for item in items if not isinstance(item, Fault) for row in item.tolist()]
    return rows, [item for item in items if isinstance(item, Fault)], parser


def bytes_of(faults):
    return sum(int(fault.detail.split()[0]) for fault in faults if fault.reason == "garbage")


OPTIONS = [
    {"sync": "aa55"},
    {"sync": "aa55", "check": "sum8"},
    {"sync": "aa55", "check": "xor8"},
    {"sync": "aa55", "check": "crc16"},
    {"check": "crc16"},
    {"framing": "cobs"},
    {"framing": "cobs", "check": "crc16"},
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))


def stream_of(samples, options):
    start = 0 if "sync" in options or options.get("framing") == "cobs" else 2
    facts = {"check": options.get("check", "none"), "framing": options.get("framing", "sync")}
    return [packet(values, **facts)[start:] for values in samples]


@each_option
@given(SAMPLES, st.lists(st.integers(0, 150), max_size=20))
def test_every_packet_comes_through_however_the_bytes_are_split(options, samples, chunks):
    # The last one may hold a sync, and then only what follows it tells that it is one.
    rows, faults, _ = parsed(b"".join(stream_of([*samples, (0, 0, 0)], options)), chunks, **options)
    assert rows == [*samples, (0, 0, 0)]
    assert not faults


def test_values_that_look_like_a_sync_are_values():
    ((inner,),) = struct.iter_unpack("<h", SYNC)
    samples = [(1, inner, 2), (inner, inner, inner), (0, 0, 0x55), (inner, 0, 0xAA)]
    rows, faults, _ = parsed(b"".join(map(packet, samples)) + SYNC, range(40), sync="aa55")
    assert rows == samples
    assert not faults
    # Before garbage, too, as long as that does not look like a packet.
    rows, faults, _ = parsed(packet(samples[0]) + bytes(20) + packet(samples[0]) + SYNC, sync="aa55")
    assert rows == [samples[0], samples[0]]
    assert bytes_of(faults) == 20


def looks_like_a_packet(data, options, starts):
    """Whether bytes that are none would pass for one: nobody could tell."""
    if options == {"check": "crc16"}:
        spans = ((at, data[at : at + 8]) for at in range(len(data) - 7) if at not in starts)
        return any(CHECKS["crc16"](span[:6]) == span[6:] for _, span in spans)
    return "sync" in options and any(data.startswith(SYNC, at) for at in range(len(data)) if at not in starts)


@each_option
@given(st.data())
def test_garbage_between_packets_is_counted_and_invents_nothing(options, data):
    samples = data.draw(SAMPLES)
    cobs = options.get("framing") == "cobs"
    stream, junk_bytes, starts = b"", 0, set()
    for one in stream_of(samples, options):
        junk = data.draw(st.binary(max_size=30))
        if cobs and junk:
            junk = b"\xff" + junk.replace(b"\0", b"") + b"\0"  # announces more bytes than there are
        junk_bytes += len(junk)
        starts.add(len(stream) + len(junk))
        stream += junk + one
    assume(not looks_like_a_packet(stream, options, starts))
    chunks = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    rows, faults, _ = parsed(stream, chunks, **options)
    assert rows == samples
    assert bytes_of(faults) == junk_bytes


@each_option
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=30))
def test_no_bytes_break_the_parser_and_chunks_do_not_matter(options, data, chunks):
    whole, whole_faults, _ = parsed(data, **options)
    parts, part_faults, parser = parsed(data, chunks, **options)
    assert whole == parts
    assert [f.detail for f in whole_faults] == [f.detail for f in part_faults]
    assert len(parser._buffer) <= 2 * MAX_PACKET_BYTES


@given(SAMPLES.filter(lambda found: len(found) >= 3), st.data())
def test_a_lost_byte_costs_the_packet_it_was_in_and_gives_no_wrong_one(samples, data):
    """Without a check: the next sync, within the torn packet and not behind it, tells."""
    packets = [packet(values) for values in samples]
    which = data.draw(st.integers(0, len(samples) - 3))
    at = data.draw(st.integers(0, len(packets[which]) - 1))
    stream = packets.copy()
    stream[which] = stream[which][:at] + stream[which][at + 1 :]
    rows, faults, _ = parsed(b"".join(stream), sync="aa55")
    plain = not any(one.find(b"\xaa", 1) >= 0 or one.find(b"\x55", 2) >= 0 for one in packets)
    if plain:
        assert rows == samples[:which] + samples[which + 1 :]
        assert bytes_of(faults) == 7
    assert len(rows) <= len(samples)


@pytest.mark.parametrize("order", ["<", ">"])
def test_scale_offset_and_byte_order(order):
    body = struct.pack(order + "Hhxe", 1000, -3, 0.5)
    check = binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little" if order == "<" else "big")
    options = {
        "layout": order + "Hh x e",
        "sync": "7e",
        "check": "crc16",
        "scale": (0.1, 1, 2),
        "offset": (1.0,),
    }
    rows, faults, _ = parsed(b"\x7e" + body + check, **options)
    assert rows == [(101.0, -2.0, 2.0)]
    assert not faults


def test_the_crc_is_the_one_that_is_called_ccitt_false():
    """Check value of the catalogue of parametrised CRC algorithms: 0x29B1 over "123456789"."""
    rows, _, _ = parsed(b"123456789\xb1\x29", layout="<9B", check="crc16")
    assert rows == [tuple(b"123456789")]


def test_a_packet_may_hold_several_samples_of_named_channels():
    data = SYNC + struct.pack("<6h", 1, 2, 3, 4, 5, 6)
    rows, _, parser = parsed(data, layout="6h", sync="aa55", channels=("ax", "ay", "az"))
    assert rows == [(1, 2, 3), (4, 5, 6)]
    assert parser.channels == ("ax", "ay", "az")
    assert parsed(data, layout="6h", sync="aa55")[0] == [(1, 2, 3, 4, 5, 6)]


def test_a_counter_tells_which_packets_are_missing():
    numbers = [254, 255, 0, 1, 5, 6]
    stream = b"".join(packet((n, 0, 0), "sum8", number=n) for n in numbers)
    rows, faults, parser = parsed(stream, sync="aa55", check="sum8", counter="u8")
    assert [row[0] for row in rows] == numbers
    assert [(f.reason, f.samples, f.detail) for f in faults] == [("lost", 0, "3 packets are missing")]
    assert parser.lost == 3


def test_a_word_counts_on_over_its_end():
    bodies = [struct.pack("<Hh", number, 7) for number in (65535, 0, 2)]
    _, faults, parser = parsed(
        b"".join(stuffed(b) for b in bodies), layout="<h", framing="cobs", counter="u16"
    )
    assert parser.lost == 1
    assert [fault.reason for fault in faults] == ["lost"]


def test_what_began_before_we_listened_is_no_garbage():
    for options in OPTIONS:
        stream = b"".join(stream_of([(1, 2, 3), (4, 5, 6)], options))[3:]
        rows, faults, _ = parsed(stream, mid_packet=True, **options)
        assert (rows, faults) == ([(4, 5, 6)], [])
        assert parsed(stream, **options)[1]


@each_option
def test_endless_garbage_is_reported_as_it_comes_and_takes_no_longer_a_byte(options):
    """A wrong baud rate for a while, its syncs included, in small pieces."""
    junk = np.random.default_rng(1).integers(0, 256, 120_000).astype(np.uint8).tobytes()
    junk = junk.replace(b"\x07", SYNC)
    if options.get("framing") == "cobs":
        junk = junk.replace(b"\0", b"")
    parser = PacketParser(Packing(layout="<100h", **options))
    faults, took_s = 0, []
    for part in (junk[:30_000], junk):
        started = time.process_time()
        for at in range(0, len(part), 64):
            faults += sum(isinstance(item, Fault) for item in parser.feed(part[at : at + 64]))
        took_s.append(time.process_time() - started)
    assert faults >= len(junk) // MAX_PACKET_BYTES - 1
    assert len(parser._buffer) <= 2 * MAX_PACKET_BYTES
    assert took_s[1] < 20 * took_s[0] + 0.5  # four times the bytes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "<hhs", "sync": "aa"}, "'layout': expected a struct such as <hhh"),
        ({"layout": "@hh", "sync": "aa"}, "'layout'"),
        ({"layout": "", "sync": "aa"}, "'layout'"),
        ({"layout": "4x", "sync": "aa"}, "with a value"),
        ({"layout": "0h", "sync": "aa"}, "1 to 4096 bytes"),
        ({"layout": "4000d", "sync": "aa"}, "1 to 4096 bytes"),
        ({"sync": "aa5"}, "'sync': expected bytes in hex, such as aa55, found aa5"),
        ({}, "nothing tells where a packet begins; add sync=aa55"),
        ({"check": "sum8"}, "nothing tells where a packet begins"),
        ({"sync": "aa", "framing": "cobs"}, "expected one of the two"),
        ({"sync": "aa", "scale": (1.0, 2.0)}, "'scale': expected 1 or 3 numbers, found 2"),
        ({"sync": "aa", "channels": ("ax", "ay")}, "has 3 values: expected 2, or several times that"),
    ],
)
def test_a_packing_that_makes_no_sense_is_said(options, message):
    with pytest.raises(ConfigError, match=message):
        parsed(b"", **options)
