"""The model on the board: the same bits as on the host, within its budget, still right.

pytest --edgeml-target virtual:cortex-m4  (or qemu:mps2-an500, serial:///dev/ttyACM0)
"""

import pytest

from firmware_bridge.hil import measure, parity

pytestmark = pytest.mark.needs_target(model="motion.tflite", cases=20)


def test_same_bits_as_the_reference(model, reference, windows):
    """The board and the C on this machine agree in every bit."""
    found = parity(model, reference, windows)
    assert found.mismatches == 0, found


def test_fits(model, windows):
    """The model and its firmware stay within the memory that they were given."""
    found = measure(model, windows)
    assert found.arena_bytes <= 8_192
    assert found.stack_bytes <= 2_048
    assert found.flash_bytes <= 65_536


def test_is_fast_enough(model, windows):
    """An inference stays within its instructions, or on a real board within its time."""
    found = measure(model, windows)
    if found.instructions is not None:  # an emulated core: exact, the same on every machine
        assert found.instructions <= 3_000_000
    else:  # a real board, by its own clock
        assert found.latency_us <= 50_000


def test_says_what_it_said_on_the_host(model, reference, windows):
    """Labels come out as they did on the host."""
    for window in windows:
        assert model.run(window).label == reference.run(window).label
