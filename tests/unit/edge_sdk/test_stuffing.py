"""COBS: what goes in comes out, no zero lies between, and what is no frame is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.stuffing import stuffed, unstuffed

#: Runs as long as a block, and a byte around it, beside zeros.
BODIES = st.one_of(
    st.binary(max_size=1200),
    st.lists(st.sampled_from([0, 1, 253, 254, 255, 508]), max_size=5).map(
        lambda runs: b"\0".join(b"\x01" * run for run in runs)
    ),
)


def by_the_paper(body):
    """COBS as its paper's listing writes it: a full block at the end is followed by an empty one."""
    out, run = bytearray(), bytearray()
    for byte in body:
        if byte:
            run.append(byte)
        if not byte or len(run) == 254:
            out += bytes([len(run) + 1]) + run
            run.clear()
    return bytes(out + bytes([len(run) + 1]) + run)


@given(BODIES)
def test_it_comes_back_as_it_went(body):
    frame = stuffed(body)
    assert b"\0" not in frame
    assert unstuffed(frame) == unstuffed(by_the_paper(body)) == body
    assert len(frame) <= len(body) + 1 + len(body) // 254


@pytest.mark.parametrize(
    ("body", "frame"),
    [("", "01"), ("00", "0101"), ("112200", "03112201"), ("01" * 254, "ff" + "01" * 254)],
    ids=["empty", "zero", "zero at the end", "a full block"],
)
def test_frames_of_the_paper(body, frame):
    assert stuffed(bytes.fromhex(body)).hex() == frame


@given(st.binary(max_size=300).map(lambda data: data.replace(b"\0", b"")))
def test_what_ends_within_a_block_is_no_frame(data):
    body = unstuffed(data)
    assert body is None or unstuffed(stuffed(body)) == body


def test_a_frame_that_was_cut_is_none():
    assert unstuffed(stuffed(b"abc")[:-1]) is None
