"""How many instructions a block of Thumb code is."""

import pytest

from firmware_bridge.instructions import instructions_in
from tests import thumb


@pytest.mark.parametrize(
    ("halves", "count"),
    [
        ("", 0),
        ("bf00", 1),
        ("bf00 bf00", 2),
        ("f3af 8000", 1),  # nop.w
        ("e92d 41f0 bf00 f04f 23e0", 3),
        ("e7fe", 1),  # the narrow branch lies just below the wide ones
        ("e800 e800", 1),
        ("ffff ffff ffff ffff", 2),  # the second half says nothing
    ],
)
def test_counts_halves_and_pairs(halves, count):
    assert instructions_in(thumb.code(halves)) == count
