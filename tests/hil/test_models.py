"""Every model of the C library on every target: the bits of the same C on this machine, and what that costs.

pytest tests/hil                                            virtual:cortex-m4
pytest tests/hil --edgeml-target qemu:mps2-an500            a Cortex-M7, in QEMU
EDGEML_HIL_CASES=1000 pytest tests/hil --edgeml-target serial:///dev/ttyACM0
"""

import os
import shutil

import numpy as np
import pytest

from converters.c import library
from edge_sdk.modelfile import split
from firmware_bridge import cases
from firmware_bridge.hil import measure, parity
from firmware_bridge.subject import Subject, golden_rows
from tests.hil import files

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]
CASES = int(os.environ.get("EDGEML_HIL_CASES", "0"))
#: Of the large ones, of which one is enough unless more is asked for, and of the others.
FEW, MANY = 2, 12
NAMES = [name for name in files.NAMES if CASES or name != "mobilenet_96"]


@pytest.fixture
def drawn(request, model, model_file):
    """Inputs of every size."""
    count = CASES or (FEW if model_file.stem in files.LARGE else MANY)
    return cases.random(Subject.read(model_file), model, count).windows


@pytest.mark.parametrize("model_file", NAMES, indirect=True, scope="session")
def test_same_bits_as_the_reference(model, reference, drawn):
    found = parity(model, reference, drawn)
    assert found.mismatches == 0, str(found)
    assert found.different == 0
    assert found.cases >= FEW


def test_what_it_costs_is_told(model, model_file, drawn):
    found = measure(model, drawn)
    assert found.arena_bytes == library.figures(split(model_file.read_bytes()).flatbuffer)["arena_bytes"]
    assert 0 < found.stack_bytes < 4096
    assert found.flash_bytes > 10_000
    assert found.instructions or found.latency_us


def test_golden_vectors_are_met(model, model_file):
    subject = Subject.read(model_file)
    for row, promised in zip(golden_rows(subject.golden, model), subject.golden.outputs[0], strict=True):
        apart = np.abs(model.runtime.invoke(row)[0][0] - promised)
        assert apart.max() <= subject.golden.tolerances[0]
