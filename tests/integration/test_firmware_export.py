"""Projects that users open elsewhere: CMake builds one, the sketch answers over a serial line."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import ConfigError, UnknownNameError
from firmware_bridge import flash, image
from firmware_bridge.c_runtime import Runtime
from firmware_bridge.export import export
from firmware_bridge.link import Link
from firmware_bridge.ports import open_serial
from tests.integration.firmware_boards import linked

pytestmark = pytest.mark.integration
GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = GOLDEN / "arena" / "tcn_int8.tflite"
#: What a sketch takes of Arduino's core, over standard input and output.
ARDUINO = r"""
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include <poll.h>
struct SerialPort {
  void begin(long) {}
  int read() {
    pollfd there = {0, POLLIN, 0};
    uint8_t byte;
    if (poll(&there, 1, 2) != 1) return -1;
    if (::read(0, &byte, 1) != 1) _exit(0);
    return byte;
  }
  void write(uint8_t byte) { if (::write(1, &byte, 1) != 1) _exit(1); }
};
static SerialPort Serial;
static unsigned long micros() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (unsigned long)now.tv_sec * 1000000ul + (unsigned long)now.tv_nsec / 1000ul;
}
void setup();
void loop();
int main() { setup(); for (;;) loop(); }
"""


@pytest.fixture(scope="module")
def case():
    runtime = Runtime(MODEL.read_bytes())
    inputs = [np.full(port.shape, 0.25, port.dtype) for port in runtime.inputs]
    outputs = [array.tobytes() for array in runtime.invoke(inputs)]
    runtime.close()
    return [array.tobytes() for array in inputs], tuple(outputs)


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("cmake", "arm-none-eabi-gcc", "qemu-system-arm")),
    reason="needs: apt install cmake gcc-arm-none-eabi qemu-system-arm",
)
def test_the_cmake_project_builds_and_runs(case, tmp_path):
    written = export(MODEL, "cmake", tmp_path / "project", "cortex-m7")
    assert {"CMakeLists.txt", "arm-none-eabi.cmake", "README.md", "ports/template/board.c"} <= set(
        written.files
    )
    subprocess.run(written.start.split(), check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "project" / "build"], check=True, capture_output=True)
    elf = tmp_path / "project" / "build" / "firmware.elf"
    with linked(elf, ("-M", "mps2-an500", "-icount", "shift=6,sleep=on")) as link:
        assert link.hello().core == "cortex-m7"
        assert link.invoke(case[0]).outputs == case[1]
    with pytest.raises(ConfigError, match="was built for an emulator"):
        flash.order(elf, "cortex-m7")
    # The template compiles as it is, and what comes out may be flashed.
    own = tmp_path / "own"
    configure = [*written.start.split(), "-B", str(own), "-DPORT=ports/template"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", own], check=True, capture_output=True)
    assert not image.defines(own / "firmware.elf", image.EMULATED)
    assert flash.order(own / "firmware.elf", "cortex-m7").command[:2] == ("pyocd", "flash")


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs: apt install g++")
def test_the_sketch_answers_over_a_serial_line(case, tmp_path):
    written = export(MODEL, "arduino", tmp_path)
    sketch = Path(written.start)
    assert sketch.parent.name == sketch.stem == "tcn_int8"
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    sources = sorted(str(file) for file in (sketch.parent / "src").glob("*.c"))
    subprocess.run(["gcc", "-O1", "-ffp-contract=off", "-c", *sources], cwd=tmp_path, check=True)
    objects = [str(file) for file in tmp_path.glob("*.o")]
    compile_sketch = ["g++", "-std=gnu++11", "-Wall", "-Wextra", "-Werror", "-include", "Arduino.h"]
    command = [*compile_sketch, "-x", "c++", str(sketch), "-x", "none", *objects, "-o", "sketch"]
    subprocess.run(command, cwd=tmp_path, check=True)
    master, slave = os.openpty()
    terminal = os.ttyname(slave)
    with Link(open_serial(terminal)) as link:  # it makes the line raw, before anything is sent
        board = subprocess.Popen([tmp_path / "sketch"], stdin=master, stdout=master)
        try:
            assert link.hello().core == "arduino"
            assert link.hello().tick_unit == "ns"
            before = time.monotonic()
            ran = link.invoke(case[0])
            assert ran.outputs == case[1]
            assert 0 <= ran.cost <= (time.monotonic() - before) * 1e9
        finally:
            board.kill()
            board.wait()
            os.close(slave)
            os.close(master)


@pytest.mark.parametrize(
    ("kind", "yours", "ours"),
    [("cmake", "ports/template/board.c", "model/model.c"), ("arduino", "{}.ino", "src/model.c")],
)
def test_a_second_export_brings_the_model_up_to_date_and_keeps_what_is_the_users(tmp_path, kind, yours, ours):
    model = tmp_path / "net.tflite"
    model.write_bytes(MODEL.read_bytes())
    first = export(model, kind, tmp_path / "project")
    changed, written = first.folder / yours.format("net"), first.folder / ours
    changed.write_text("mine")
    had = {file.name for file in written.parent.iterdir()}
    model.write_bytes((GOLDEN / "c_library" / "gesture.tflite").read_bytes())
    second = export(model, kind, tmp_path / "project")
    assert changed.read_text() == "mine"
    assert changed.relative_to(first.folder).as_posix() in second.kept
    assert "356ad5e874fac7c9a4727aca37f76109b86bde8fb688a18c7fae729867fcd928" in written.read_text()
    assert {file.name for file in written.parent.iterdir()} == {
        Path(name).name for name in second.files if Path(name).parent.name == written.parent.name
    }
    assert "edgeml_reduce_max.c" in had - {file.name for file in written.parent.iterdir()}


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--for: expected arduino or cmake, found keil"):
        export(MODEL, "keil", tmp_path / "x")
    with pytest.raises(UnknownNameError, match="unknown board"):
        export(MODEL, "cmake", tmp_path / "x", "cortex-m99")
    assert not (tmp_path / "x").exists()
