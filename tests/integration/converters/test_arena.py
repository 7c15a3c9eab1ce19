"""TFLite Micro itself says how large an arena it needs; its answers are the recorded ones."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from converters import arena
from edge_sdk.graph import read_graph
from tests.models import flatbuffer

GOLDEN = Path(__file__).parents[2] / "golden" / "arena"
MODELS = sorted(GOLDEN.glob("*.tflite"))
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
    ),
]
#: In a process of its own: TFLite Micro aborts on what it does not take.
ASK = """
import sys
from tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1], arena_size=1 << 24).print_allocations()
"""


def measured_bytes(file):
    done = subprocess.run([sys.executable, "-c", ASK, file], capture_output=True, text=True, check=True)
    return int(re.search(r"Arena allocation total (\d+) bytes", done.stdout + done.stderr)[1])


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_the_recorded_sizes_are_those_of_tflite_micro(file):
    recorded = json.loads((GOLDEN / "measured.json").read_text())["bytes"][file.stem]
    assert measured_bytes(file) == pytest.approx(recorded, rel=0.03)


def test_the_estimate_is_enough_for_a_model_made_now(tmp_path):
    file = tmp_path / "linear.tflite"
    file.write_bytes(flatbuffer())
    estimate = arena.tflm_bytes(read_graph(file.read_bytes()))
    assert 0.7 * estimate <= measured_bytes(file) <= estimate
