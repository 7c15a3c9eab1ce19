"""Boards without hardware as targets: the bits of the reference kernels, wherever the model runs."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from converters.c import reference
from converters.c.lower import lower
from edge_sdk import Model, modelfile
from edge_sdk.bench.plan import Plan
from edge_sdk.bench.subject import Subject
from edge_sdk.errors import ConfigError, DeviceError, ModelError, SpecError
from edge_sdk.targets import open_target
from firmware_bridge import image, machines
from firmware_bridge.build import build
from firmware_bridge.emulator import Emulator
from firmware_bridge.qemu import Qemu
from firmware_bridge.terminal import Terminal
from tests import thumb
from tests.streaming import moving_window

pytest.importorskip("unicorn", reason="needs unicorn: pip install 'edgeml-kit[firmware]'")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="needs a compiler: apt install gcc-arm-none-eabi"
    ),
]
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None, reason="needs QEMU: apt install qemu-system-arm"
)
M4 = machines.find("cortex-m4")
GOLDEN = Path(__file__).parents[1] / "golden" / "arena"
LABELS = [f"class {n}" for n in range(12)]
VIRTUAL = [f"virtual:{board}" for board in ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")]
QEMU = ["qemu:mps2-an386", "qemu:cortex-m7", "qemu:mps3-an547"]
SLOW = "timeout=300"  # machines of continuous integration may be busy


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A network of convolutions, with labels."""
    flatbuffer = (GOLDEN / "dscnn_int8.tflite").read_bytes()
    path = tmp_path_factory.mktemp("model") / "network.tflite"
    path.write_bytes(modelfile.pack(flatbuffer, {modelfile.LABELS: "\n".join(LABELS).encode()}))
    return path


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(5).normal(size=(3, 49, 10, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(file, windows):
    """What the reference kernels say to the windows."""
    return [said_by_reference(file, [window[None]])[0][0] for window in windows]


def said_by_reference(file, inputs):
    program = lower(modelfile.split(file.read_bytes()).flatbuffer)
    return reference.run(program, inputs, reference.first_state(program))


def pressed(model):
    """Presses the reset button of the board that a model runs on."""
    model.runtime._link._port.reset()


@contextmanager
def served(port):
    """A board at the other end of a network connection: the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry():
        connection, _ = listener.accept()
        with connection:
            while True:
                if select.select([connection], [], [], 0.01)[0]:
                    data = connection.recv(4096)
                    if not data:
                        return
                    port.write(data)
                connection.sendall(port.read(0))

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(30)
        assert not thread.is_alive()
    finally:
        listener.close()
        port.close()


@pytest.mark.parametrize("url", [*VIRTUAL, *(pytest.param(url, marks=needs_qemu) for url in QEMU)])
def test_gives_the_bits_of_the_reference_kernels(url, file, windows, expected):
    open_target(url).check()
    with Model.load(file, target=f"{url}?{SLOW}") as model:
        for window, outputs in zip(windows, expected, strict=True):
            prediction = model.run(window)
            np.testing.assert_array_equal(prediction.outputs, outputs)
            assert prediction.label == LABELS[int(np.argmax(outputs))]
        figures = model.runtime.figures()
    assert model.runtime.version.startswith("cortex-m")
    assert figures["board_torn"] == figures["resets"] == 0
    assert 8_000 < figures["flash_bytes"] < 100_000
    assert 0 < figures["stack_bytes"] < 4096
    assert figures["arena_bytes"] > 4_000


@needs_qemu
@pytest.mark.parametrize("board", ["cortex-m3", "cortex-m4", "cortex-m7"])
def test_unicorn_counts_what_qemu_counts(board, file, windows):
    counts = {}
    for scheme in ("virtual", "qemu"):
        with Model.load(file, target=f"{scheme}:{board}?{SLOW}") as model:
            model.run(windows[0])
            assert model.runtime.last_cost.unit == "instructions"
            counts[scheme] = model.runtime.last_cost.value
    assert counts["virtual"] > 1_000_000
    # QEMU's timer has ticks of 5/8 instructions.
    assert abs(counts["virtual"] - counts["qemu"]) <= 1


def test_counts_the_first_inference_all_or_none(file, windows):
    costs = {}
    for count in ("first", "all", "none"):
        with Model.load(file, target=f"virtual:cortex-m4?count={count}&{SLOW}") as model:
            costs[count] = []
            for window in windows[[0, 1, 0]]:
                model.run(window)
                costs[count].append(model.runtime.last_cost)
            model.runtime.count_next()
            model.run(windows[0])
            costs[count].append(model.runtime.last_cost)
    first = costs["all"][0]
    assert costs["none"] == [None] * 4
    assert costs["first"] == [first, None, None, first]
    assert costs["all"][2:] == [first, first]


def test_another_window_of_another_shape_is_refused(file, windows):
    with Model.load(file, target="virtual:cortex-m4") as model:
        with pytest.raises(SpecError, match=r"expected float32 \[49, 10, 1\], found \[48, 10, 1\]"):
            model.run(windows[0][1:])
        with pytest.raises(
            SpecError, match=r"expected float32 \[1, 49, 10, 1\], found float64 \[1, 49, 10, 1\]"
        ):
            model.runtime.invoke([windows[:1].astype(np.float64)])


@pytest.mark.parametrize("url", ["virtual:cortex-m4", pytest.param("qemu:cortex-m4", marks=needs_qemu)])
def test_a_board_that_is_reset_begins_again(url, file, windows, expected):
    with Model.load(file, target=f"{url}?{SLOW}") as model:
        for window, outputs in zip(windows, expected, strict=True):
            pressed(model)
            np.testing.assert_array_equal(model.run(window).outputs, outputs)
        assert model.runtime.figures()["resets"] == len(windows)


def test_a_bad_line_changes_no_bit(file, windows, expected):
    faults = "drop=0.0002&corrupt=0.0001&double=0.0001&repeat=0.05&reset=0.05&seed=3"
    with Model.load(file, target=f"virtual:cortex-m4?count=none&{faults}&{SLOW}") as model:
        for _ in range(3):
            for window, outputs in zip(windows, expected, strict=True):
                np.testing.assert_array_equal(model.run(window).outputs, outputs)
        assert model.runtime.figures()["retransmissions"] > 0


def test_what_a_model_remembers_is_forgotten_before_every_window(tmp_path):
    path = tmp_path / "moving.tflite"
    path.write_bytes(moving_window((0.1, 0)))
    samples = np.random.default_rng(2).integers(-100, 100, (4, 1, 1, 3), np.int8)
    with Model.load(path, target=f"virtual:cortex-m4?{SLOW}") as model:
        for sample in samples:
            (said,) = model.runtime.invoke([sample])
            np.testing.assert_array_equal(said, said_by_reference(path, [sample])[0])


def test_a_float_model_is_refused_with_a_remedy(linear_file):
    with pytest.raises(ModelError, match=r"convert it with --recipe int8"):
        Model.load(linear_file, target="virtual:cortex-m4")


def test_any_serial_program_can_talk_to_it(file, windows, expected):
    firmware = build(file, "cortex-m4")
    with Terminal(Emulator(firmware.elf, firmware.machine)) as terminal:
        url = f"serial:{terminal.path}?{SLOW}"
        open_target(url).check()
        with Model.load(file, target=url) as model:
            for window, outputs in zip(windows, expected, strict=True):
                np.testing.assert_array_equal(model.run(window).outputs, outputs)
            assert "flash_bytes" not in model.runtime.figures()
        message = "another model is on the board: .*network.*edgeml firmware flash MODEL --board NAME"
        with pytest.raises(ModelError, match=message):
            Model.load(GOLDEN / "har_int8.tflite", target=url)
        with pytest.raises(ConfigError, match="the board has no clock: .*one that counts instructions"):
            open_target(url).latency({0: file}, [windows[:1]])
    assert terminal.failure is None
    assert not Path(terminal.path).exists()


@pytest.mark.parametrize(
    ("where", "number"), [([], signal.SIGINT), (["--qemu"], signal.SIGTERM)], ids=["unicorn", "qemu"]
)
def test_the_command_runs_a_board_until_it_is_interrupted(file, windows, expected, where, number):
    command = [sys.executable, "-m", "edge_sdk", "firmware", "run", str(file), "--board", "cortex-m4", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            path = process.stdout.readline().split()[-1]
            with Model.load(file, target=f"serial:{path}?{SLOW}") as model:
                np.testing.assert_array_equal(model.run(windows[0]).outputs, expected[0])
                assert model.runtime.last_cost.unit == "instructions"
                assert model.runtime.last_cost.value > 0
        finally:
            process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_board_with_a_clock_tells_its_own_time(tmp_path):
    file = GOLDEN / "fused_int8.tflite"
    window = np.ones((1, 20, 4), np.float32)
    firmware = build(file, "cortex-m4")
    program = bytearray(firmware.elf.read_bytes())
    known = image.read(firmware.elf)
    address = next(symbol.address for symbol in known.symbols if symbol.name == "edgeml_board")
    start, content = next(part for part in known.segments if part[0] <= address < part[0] + len(part[1]))
    # Five pointers, then what a tick is: now it says nanoseconds.
    at = program.index(content) + address - start + 20
    assert struct.unpack_from("<I", program, at) == (1,)
    struct.pack_into("<I", program, at, 0)
    clocked = tmp_path / "clocked.elf"
    clocked.write_bytes(program)
    board, again = (Emulator(clocked, firmware.machine) for _ in range(2))
    board.counting = again.counting = True
    with served(board) as address:
        found = open_target(f"serial:{address}?{SLOW}").latency({"this": file}, [window])
    with served(again) as address:
        target, subjects = open_target(f"serial:{address}?{SLOW}"), {"this": Subject.read(file)}
        record = target.bench(subjects, Plan(runs=3), lambda step: None)["this"]
    assert (record.n, len(record.turns), record.instructions) == (3, 3, None)
    assert record.latency_us["p50"] == pytest.approx(found["this"], rel=0.05)
    with Model.load(file, target=f"virtual:cortex-m4?{SLOW}") as model:
        model.runtime.invoke([window])
        assert found["this"] == pytest.approx(model.runtime.last_cost.value / 1000, rel=1e-5)


def test_models_that_are_not_on_the_board_are_refused_one_by_one(file, windows):
    firmware = build(file, "cortex-m4")
    other = GOLDEN / "har_int8.tflite"
    with Terminal(Emulator(firmware.elf, firmware.machine)) as terminal:
        found = open_target(f"serial:{terminal.path}?{SLOW}").latency({"other": other}, [windows[:1]])
    assert isinstance(found["other"], ModelError)


def test_a_terminal_tells_why_it_ended(tmp_path):
    elf = tmp_path / "echo.elf"
    elf.write_bytes(thumb.program(thumb.ECHO, {"broken": (42, 2)}))
    with Terminal(Emulator(elf, M4)) as terminal:
        with Path(terminal.path).open("r+b", buffering=0) as port:
            port.write(b"a")
            assert port.read(1) == b"b"
            port.write(b"!")
            terminal._thread.join(30)
        assert "met a fault" in str(terminal.failure)


@needs_qemu
class TestQemu:
    @pytest.fixture
    def board(self, file):
        with Qemu(build(file, "cortex-m4").elf, M4) as board:
            yield board

    def test_a_fault_without_a_handler_ends_it_in_one_line(self, tmp_path):
        elf = tmp_path / "broken.elf"
        elf.write_bytes(thumb.program("de00 e7fe", {}))
        message = r"qemu cortex-m4: QEMU ended: .*Lockup.*; a fault without a handler"
        with pytest.raises(DeviceError, match=message), Qemu(elf, M4) as board:
            board.read(60)

    def test_a_process_that_is_killed_is_an_error_and_none_is_left(self, board):
        os.kill(child_of(board._process.pid), signal.SIGKILL)
        with pytest.raises(DeviceError, match="QEMU ended: found signal SIGKILL"):
            board.read(30)
        board.close()
        for act in (lambda: board.read(0), lambda: board.write(b"a"), board.reset):
            with pytest.raises(DeviceError, match="qemu cortex-m4: closed"):
                act()

    def test_arguments_that_it_refuses_are_told(self, tmp_path):
        with pytest.raises(DeviceError, match=r"QEMU ended: found exit status 1, .*none.elf"):
            Qemu(tmp_path / "none.elf", M4)

    @pytest.mark.parametrize("end", ["close", "kill"])
    def test_no_process_is_left(self, file, end):
        elf = build(file, "cortex-m4").elf
        script = (
            "import sys; from pathlib import Path; from firmware_bridge import machines, qemu\n"
            "board = qemu.Qemu(Path(sys.argv[1]), machines.find('cortex-m4'))\n"
            "print(board._process.pid, flush=True); sys.stdin.readline(); board.close()"
        )
        command = [sys.executable, "-c", script, str(elf)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
            emulator = os.pidfd_open(child_of(int(user.stdout.readline())))
            user.kill() if end == "kill" else user.stdin.close()
            assert select.select([emulator], [], [], 60)[0]
            os.close(emulator)


def child_of(process):
    """The first child of a process: QEMU, of what keeps it."""
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])
