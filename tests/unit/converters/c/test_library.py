import re
from pathlib import Path

import numpy as np
import pytest

from converters import c_text
from converters.c import library, memory
from converters.c.lower import lower
from edge_sdk.contract import Output
from edge_sdk.errors import ModelError
from tests import kinds
from tests.kinds import Net
from tests.models import contract

GOLDEN = Path(__file__).parents[3] / "golden" / "c_library"
S = (0.05, 3)


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version in the banner stays the same when ours grows."""
    monkeypatch.setattr(c_text, "version", lambda: "0")


@pytest.mark.usefixtures("pinned")
def test_the_text_is_the_golden_one() -> None:
    files = library.render((GOLDEN / "gesture.tflite").read_bytes(), contract(), "gesture")
    for name in ("model.h", "model.c", "gesture.h"):
        assert files[f"src/{name}"] == (GOLDEN / name).read_text(encoding="ascii"), name
    assert files["CMakeLists.txt"] == (GOLDEN / "CMakeLists.txt").read_text()
    assert files["library.properties"] == (GOLDEN / "library.properties").read_text()


def test_the_same_model_gives_the_same_bytes() -> None:
    model = (GOLDEN / "gesture.tflite").read_bytes()
    assert library.render(model, contract(), "m") == library.render(model, contract(), "m")


def test_only_kernels_that_are_called_are_there() -> None:
    files = library.render(kinds.doubled("int8", S), None, "m")
    assert sorted(name for name in files if name.startswith("src/edgeml_")) == [
        "src/edgeml_add.c",
        "src/edgeml_add_mve.c",
        "src/edgeml_kernels.h",
        "src/edgeml_mve.h",
    ]


@pytest.mark.parametrize("name", ["model", "edgeml_kernels"])
def test_a_model_may_be_called_as_a_file_of_the_library_is(name: str) -> None:
    files = library.render(kinds.doubled("int8", S), None, name)
    assert f"void {name}_run(void);" in files["src/model.h"]
    assert "edgeml_" in files["src/edgeml_kernels.h"]
    assert f'#include "{name}.h"' not in files[f"src/{name}.h"]


def test_names_that_c_does_not_allow_stay_text() -> None:
    hostile = '*/ int main(void) { system("rm"); } /* ??/\n#define X \\'
    facts = contract(name=hostile, version=hostile, output=Output((hostile, '"', "\\")))
    files = library.render(kinds.doubled("int8", S), facts, hostile)
    assert all(text.isascii() for text in files.values())
    assert not any("system(" in text.replace("\\", "") and '"rm"' in text for text in files.values())
    assert all(re.fullmatch(r"[\w/.]+", name) for name in files)


def test_inputs_that_are_neither_int8_nor_float_are_refused() -> None:
    net = Net()
    x = net.input("x", [1, 4], "int32")
    net.output("y", x)
    with pytest.raises(ModelError, match="expected inputs and outputs of int8 or float32"):
        library.render(net.flatbuffer(), None, "m")


def test_an_output_takes_the_place_of_an_input_that_nothing_reads_any_more() -> None:
    net = Net()
    x = net.input("x", [1, 64], "int8", S)
    y = net.op("RELU", [x], [1, 64], "int8", S)
    z = net.op("ADD", [y, y], [1, 64], "int8", S)
    net.output("z", z)
    planned = memory.place(lower(net.flatbuffer()))
    assert planned.arena_bytes == 64
    assert planned.floor_bytes == 128


def test_an_operand_that_is_read_again_keeps_its_place() -> None:
    net = Net()
    x = net.input("x", [1, 64], "int8", S)
    y = net.op("MUL", [x, net.input("w", [1, 64], "int8", S)], [1, 64], "int8", S)
    net.output("z", net.op("ADD", [x, y], [1, 64], "int8", S))
    planned = memory.place(lower(net.flatbuffer()))
    assert planned.offset[x] != planned.offset[y]
    assert planned.arena_bytes == 128


def test_figures_say_what_it_needs() -> None:
    found = library.figures((GOLDEN / "gesture.tflite").read_bytes())
    assert found["arena_bytes"] > 0
    assert found["flash_bytes"] > 100
    assert found["kernel_calls"] == len(lower((GOLDEN / "gesture.tflite").read_bytes()).steps)


def test_a_constant_in_the_text_is_the_number() -> None:
    from converters.c.structure import scalar

    assert scalar(-(1 << 31)) == "(-2147483647 - 1)"
    assert scalar(7) == "7"
    assert scalar(0.5) == "0.5f"
    assert scalar(float(np.float32(0.1))) == "0.1f"
