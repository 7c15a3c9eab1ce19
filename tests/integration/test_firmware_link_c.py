"""The board's side of the bridge: what it costs, where it compiles, and that no bytes bring it down."""

import os
import re
import subprocess
import sys

import pytest

from converters.c import library
from firmware_bridge import messages
from firmware_bridge.protocol import ANSWER, Message, Type, decode
from tests.board import FIRMWARE, INCLUDES, ROOT, SOURCES, STRICT, Board, compiled, frames_of

pytestmark = pytest.mark.integration
#: Of the fuzzer; more of them when an hour of random faults is asked for.
TURNS = 100_000 if "EDGEML_LINK_S" not in os.environ else 20_000_000
CONVERSATIONS = [
    ROOT / "docs" / "protocol.md",
    *sorted((ROOT / "tests" / "golden" / "conversations").glob("*.txt")),
]
CODE_BYTES, RAM_BYTES, STACK_BYTES = 3000, 1152, 300
CORTEX_M4 = ("arm-none-eabi-gcc", "-mthumb", "-mcpu=cortex-m4", *STRICT, "-Os")


def run(*command, cwd=None):
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The sources for Cortex-M4, one object each, and beside it what GCC says of its stack."""
    folder = tmp_path_factory.mktemp("cortex-m4")
    for source in SOURCES:
        target = folder / f"{source.stem}.o"
        run(*CORTEX_M4, *INCLUDES, "-fstack-usage", "-c", source, "-o", target)
    return sorted(folder.glob("*.o"))


def test_its_code_stays_small(objects):
    rows = [line.split() for line in run("arm-none-eabi-size", *objects).splitlines()[1:]]
    assert sum(int(row[0]) + int(row[1]) for row in rows) <= CODE_BYTES
    assert sum(int(row[1]) + int(row[2]) for row in rows) == 0, "it has memory of its own"


def test_its_memory_stays_small(objects, tmp_path):
    (tmp_path / "bridge.c").write_text('#include "edgeml_bridge.h"\nedgeml_bridge bridge;\n')
    sizes = []
    for payload in (1024, 64):
        run(*CORTEX_M4, *INCLUDES, f"-DEDGEML_MAX_PAYLOAD={payload}", "-c", "bridge.c", cwd=tmp_path)
        sizes.append(int(run("arm-none-eabi-nm", "-S", tmp_path / "bridge.o").split()[1], 16))
    assert sizes[0] <= RAM_BYTES
    assert sizes[1] <= RAM_BYTES - 1024 + 64


def test_its_stack_stays_small(objects):
    """Nothing calls itself, so that the frames of all functions together are more than enough."""
    frames = {}
    for path in (path.with_suffix(".su") for path in objects):
        for where, size, kind in re.findall(r"^(\S+)\t(\d+)\t(\S+)$", path.read_text(), re.MULTILINE):
            assert kind == "static"
            frames[where.rsplit(":", 1)[1]] = path.stem, int(size)
    answering = [size for file, size in frames.values() if file != "edgeml_stream"]
    sending = [size for file, size in frames.values() if file == "edgeml_frame"]
    streaming = [size for file, size in frames.values() if file == "edgeml_stream"]
    assert sum(answering) <= STACK_BYTES
    assert sum(sending) + sum(sorted(streaming)[-3:]) <= 2 * STACK_BYTES


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m33"])
def test_other_cores_compile_it_too(core, tmp_path):
    for source in SOURCES:
        run(
            "arm-none-eabi-gcc",
            "-mthumb",
            f"-mcpu={core}",
            *STRICT,
            "-O2",
            *INCLUDES,
            "-c",
            source,
            cwd=tmp_path,
        )


def test_zig_compiles_it_too(tmp_path):
    """Where no GCC for Arm is installed; zig brings no string.h for a machine without a system."""
    library = FIRMWARE / "ports" / "cortex_m" / "libc"
    zig = (sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4")
    for source in SOURCES:
        run(*zig, *STRICT, "-Os", *INCLUDES, "-I", library, "-c", source, "-o", tmp_path / f"{source.stem}.o")


def test_it_needs_two_functions_of_string_h_and_its_names_are_its_own(objects):
    undefined = set(re.findall(r" U (\w+)", run("arm-none-eabi-nm", *objects)))
    own = set(re.findall(r" T (\w+)", run("arm-none-eabi-nm", *objects)))
    assert undefined - own <= {"memcpy", "memset"}
    kernels = {path.stem for path in library.KERNELS.glob("*.c")}
    assert not own & kernels
    assert all(name.startswith(("edgeml_bridge_", "edgeml_frame_")) for name in own)


def test_as_cplusplus_a_program_can_use_it(tmp_path):
    (tmp_path / "sketch.cpp").write_text(
        '#include "edgeml_bridge.h"\n'
        "static edgeml_bridge bridge;\n"
        "int main() { edgeml_bridge_poll(&bridge); return edgeml_bridge_streams(&bridge); }\n"
    )
    run("g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", *INCLUDES, "-c", "sketch.cpp", cwd=tmp_path)


@pytest.mark.parametrize("payload", [1024, 330])
def test_no_bytes_bring_it_down(tmp_path, payload):
    """Noise, damaged frames, and good ones with anything in them, under every sanitizer."""
    program = compiled("fuzz", tmp_path, f"-DEDGEML_MAX_PAYLOAD={payload}")
    for seed in (1, 2):
        answers, runs, errors = map(int, run(program, seed, TURNS // 2).split())
        assert answers > errors > TURNS // 10
        assert runs > TURNS // 500


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled("board", tmp_path_factory.mktemp("board"))


@pytest.mark.parametrize("file", CONVERSATIONS, ids=lambda file: file.stem)
def test_a_board_says_what_is_written(program, file):
    """Frames of the example's board, in the document and in a corpus that a third board can be tried with."""
    lines = re.findall(r"^(host|board) +([0-9a-f ]+)$", file.read_text(), re.MULTILINE)
    assert {who for who, _ in lines} == {"host", "board"}
    board, said = Board(program, "example"), b""
    for who, data in lines:
        frame = bytes.fromhex(data)
        if who == "host":
            assert said == b"", "it says more than is written"
            board.write(frame)
            continue
        while len(said) < len(frame):
            more = board.read(10)
            assert more, f"it says {said.hex(' ')} and nothing more"
            said += more
        assert said[: len(frame)].hex(" ") == frame.hex(" ")
        said = said[len(frame) :]
    assert said + board.last_words() == b""
    board.close()


def test_both_sides_make_the_same_frames_of_the_same_messages(program):
    """Of tensors with zeros and long runs without: what the board sent, encoded again by Python."""
    board = Board(program)
    session, echoes = (
        0x01020304,
        [b"\0" * 2500, b"\1" * 2500, bytes(range(250)) * 10, b"\1" * 253 + b"\0" * 2247],
    )
    requests = [Message(Type.HELLO, part, part, session, b"") for part in range(7)]
    for number, echo in enumerate(echoes, 1):
        for offset in (0, 1024, 2048):
            body = messages.chunk(number, offset, 2500, echo[offset : offset + 1024])
            requests.append(Message(Type.INPUT, 1, 3, session, body))
        requests.append(Message(Type.INPUT, 0, 3, session, messages.chunk(number, 0, 20, bytes(20))))
        requests.append(Message(Type.RUN, 0, 4, session, messages.numbered(number)))
        requests += [
            Message(Type.OUTPUT, 1, size, session, messages.chunk(number, 0, size))
            for size in (253, 254, 255, 1024)
        ]
    requests += [Message(Type.STATS, 0, 5, session, b""), Message(Type.STATS, 0, 6, 99, b"")]
    seen, echo = set(), b""
    for request in requests:
        if request.type == Type.RUN:
            echo = echoes[messages.read_number(request.body) - 1]
        board.write(request.encode([bytes(20), echo] if request.type == Type.RUN else []))
        data = b""
        while data.count(b"\0") < 2:
            data += board.read(10)
        (frame,) = frames_of(data)
        answer = decode(frame.strip(b"\0"))
        seen.add(answer.type)
        tensors = []
        if answer.type == Type.RUN | ANSWER:
            tensors = [bytes(20), echo[::-1], messages.read_number(request.body).to_bytes(2, "little")]
        assert answer.encode(tensors) == data
    assert seen == {Type(kind) | ANSWER for kind in (1, 3, 4, 5, 7)} | {Type.ERROR}
    board.close()
