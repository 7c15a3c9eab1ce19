"""QEMU's cores run the same firmware: an M4 with as many instructions as the virtual board, an M55."""

import importlib.util
import shutil

import pytest

from edge_sdk import Model
from firmware_bridge.hil import measure, parity

pytestmark = [
    pytest.mark.integration,
    pytest.mark.needs_target(cases=4),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
        reason="needs: apt install gcc-arm-none-eabi qemu-system-arm",
    ),
]
#: What the two count differs by what the bridge does until it looks at the timer.
NEAR = 1.01


@pytest.mark.parametrize("edgeml_target", ["qemu:mps2-an386", "qemu:mps3-an547"])
def test_same_bits_as_the_reference(model, reference, windows):
    assert parity(model, reference, windows).mismatches == 0
    found = measure(model, windows)
    assert found.latency_us is None
    assert found.instructions > 100_000
    assert 0 < found.stack_bytes < 4096


@pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None, reason="needs: pip install 'edgeml-kit[firmware]'"
)
@pytest.mark.parametrize("edgeml_target", ["qemu:mps2-an386"])
def test_counts_as_many_instructions_as_the_virtual_board(model, model_file, windows):
    with Model.load(model_file, target="virtual:mps2-an386") as virtual:
        counted = [measure(each, windows).instructions for each in (model, virtual)]
    assert max(counted) <= NEAR * min(counted)
