"""``edgeml convert --to c`` of files that are int8 already: what is printed, written and refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.c_library import STRICT
from tests.kinds import Net
from tests.models import write_model

pytestmark = pytest.mark.integration
GOLDEN = Path(__file__).parents[2] / "golden"


def edgeml(*words):
    command = [sys.executable, "-m", "edge_sdk", "convert", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_folder_compiles_and_its_figures_are_printed(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: apt install gcc")
    done = edgeml(GOLDEN / "c_library" / "gesture.tflite", "-o", tmp_path / "out", "--to", "c", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["passed"]
    assert facts["output"] == str(tmp_path / "out")
    assert {name for name in facts["files"] if name.endswith("model.c")} == {"src/model.c"}
    source = tmp_path / "out" / "src"
    assert f"#define GESTURE_ARENA_BYTES {facts['arena_bytes']} " in (source / "model.h").read_text()
    files = sorted(str(file) for file in source.glob("*.c"))
    subprocess.run(["gcc", *STRICT, "-c", *files], cwd=tmp_path, check=True)


@pytest.mark.parametrize("compiler", ["g++ -std=c++11", "g++ -std=c++17"])
def test_the_header_is_cpp_too(tmp_path, compiler):
    words = compiler.split()
    if shutil.which(words[0]) is None:
        pytest.skip("needs g++: apt install g++")
    edgeml(GOLDEN / "c_library" / "gesture.tflite", "-o", tmp_path / "out", "--to", "c")
    (tmp_path / "main.cc").write_text('#include "gesture.h"\nint main() { gesture_run(); }\n')
    source = tmp_path / "out" / "src"
    subprocess.run([*words, *STRICT[1:], "-I", source, "-c", "main.cc"], cwd=tmp_path, check=True)


def test_people_get_a_table(tmp_path):
    done = edgeml(GOLDEN / "c_library" / "gesture.tflite", "-o", tmp_path / "out", "--to", "c")
    assert done.returncode == 0
    assert "kernel calls   7" in done.stdout


def test_what_has_no_kernel_is_one_line_and_nothing_is_written(tmp_path):
    net = Net()
    x = net.input("x", [1, 4], "int8", (0.05, 3))
    net.output("y", net.op("CEIL", [x], [1, 4], "int8", (0.05, 3)))
    model = tmp_path / "m.tflite"
    model.write_bytes(net.flatbuffer())
    done = edgeml(model, "-o", tmp_path / "out", "--to", "c")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "CEIL" in line
    assert "--to c-array" in line
    assert list(tmp_path.iterdir()) == [model]


def test_a_float_model_is_converted_first(tmp_path):
    model = write_model(tmp_path / "m.tflite")
    done = edgeml(model, "-o", tmp_path / "out", "--to", "c")
    assert done.returncode == 2
    assert "recipe int8 measures ranges on real data" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["m.tflite"]
