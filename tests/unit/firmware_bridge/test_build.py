import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, ModelError
from firmware_bridge import build, compilers, machines, sourcetree
from firmware_bridge.compilers import CompileError, Compiler
from tests.kinds import Net

GOLDEN = Path(__file__).parents[2] / "golden"
GCC = Compiler("gcc", ("arm-none-eabi-gcc",), "gcc 12")


def test_regions_are_the_machines_and_no_larger_than_the_boards() -> None:
    assert sourcetree.memory_script(machines.find("cortex-m4")) == (
        "MEMORY {\n"
        "  FLASH (rx) : ORIGIN = 0x0, LENGTH = 0x100000\n"
        "  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 0x40000\n"
        "}\n"
        'REGION_ALIAS("TABLES", FLASH)\n'
        "stack_bytes = 4096;\n"
        "edgeml_emulated = 1;\n"
    )
    script = sourcetree.memory_script(machines.find("cortex-m55"))
    assert "TABLES (r) : ORIGIN = 0x60000000, LENGTH = 0x200000" in script
    assert "REGION_ALIAS" not in script
    assert "edgeml_emulated" not in sourcetree.memory_script(machines.find("stm32f405"))


def test_flags_are_those_of_the_core() -> None:
    flags = GCC.flags(machines.find("cortex-m4"))
    assert {"-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-ffp-contract=off"} <= set(flags)
    zig = Compiler("zig", ("zig",), "zig 0").flags(machines.find("cortex-m3"))
    assert {"thumb-freestanding-eabi", "-mcpu=cortex_m3"} <= set(zig)
    # Zig takes these cores to have no floating point, and its Cortex-M55 no vectors.
    assert "-mcpu=cortex_m4+vfp4d16sp" in Compiler("zig", ("zig",), "zig 0").flags(machines.find("cortex-m4"))
    assert "-mcpu=cortex_m55+mve+mve_fp" in Compiler("zig", ("zig",), "zig 0").flags(
        machines.find("cortex-m55")
    )


def test_without_a_compiler_both_remedies_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"apt install gcc-arm-none-eabi, or: pip install 'edgeml"):
        compilers.find()
    with pytest.raises(MissingExtraError, match="compiler gcc is not installed; .*apt install"):
        compilers.find("gcc")
    with pytest.raises(MissingExtraError, match="compiler zig is not installed; .*pip install"):
        compilers.find("zig")
    with pytest.raises(ConfigError, match="--compiler: expected gcc or zig, found 'clang'|found clang"):
        compilers.find("clang")


@pytest.fixture
def gcc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that is found and must not be called."""

    def called(*arguments: object) -> None:
        raise AssertionError("the compiler was called")

    monkeypatch.setattr(compilers, "find", lambda name: GCC)
    monkeypatch.setattr(compilers, "compile_all", called)


def large(flash: int = 64, arena: int = 64) -> bytes:
    """A model of one dense layer on the first values, with so many bytes of weights and activations."""
    import numpy as np

    net = Net()
    x = net.input("x", (1, arena), "int8", (0.05, 0))
    weights = net.constant(np.zeros((flash // arena, arena), np.int8), (0.01, 0))
    net.output("y", net.op("FULLY_CONNECTED", [x, weights], (1, flash // arena), "int8", (0.05, 0)))
    return net.flatbuffer()


@pytest.mark.usefixtures("gcc")
def test_a_model_that_cannot_fit_is_refused_before_it_is_compiled(tmp_path: Path) -> None:
    model = tmp_path / "large.tflite"
    model.write_bytes(large(flash=600_000, arena=1000))
    with pytest.raises(
        ConfigError, match=r"large.tflite: this model does not fit cortex-m3: expected at most .*"
    ):
        build.build(model, "cortex-m3")
    model.write_bytes(large(flash=98_000, arena=98_000))
    with pytest.raises(ConfigError, match=r"expected at most 98.3 kB of RAM, found 103 kB, [\d,]+ bytes too"):
        build.build(model, "cortex-m3")


@pytest.mark.usefixtures("gcc")
def test_a_float_model_and_what_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="har_float32.tflite: .*; convert it with --recipe int8"):
        build.build(GOLDEN / "arena" / "har_float32.tflite", "cortex-m4")
    other = tmp_path / "other.tflite"
    other.write_text("not a model at all, but a text")
    with pytest.raises(ModelError, match="other.tflite: not a TFLite model"):
        build.build(other, "cortex-m4")
    with pytest.raises(DeviceError, match="cannot read .*none.tflite: found No such file"):
        build.build(tmp_path / "none.tflite", "cortex-m4")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ld: region `FLASH' overflowed by 1234 bytes", "1,048,576|1,050 kB|1,234 bytes too many"),
        (
            "ld.lld: error: section '.bss' will not fit in region 'RAM': overflowed by 99 bytes",
            "99 bytes too many",
        ),
    ],
)
def test_what_either_linker_says_of_too_little_memory_is_said_in_our_words(said: str, expected: str) -> None:
    error = build._overflow(CompileError(GCC, said), machines.find("cortex-m4"))
    with pytest.raises(ConfigError, match=expected):
        raise error or AssertionError("not understood")
    assert build._overflow(CompileError(GCC, "error: x"), machines.find("cortex-m4")) is None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "ld: x.o: in function `add':\nx.c:24: multiple definition of `add'; y.o:y.c:9: first defined\n"
            "collect2: error: ld returned 1 exit status",
            "x.c:24: multiple definition of `add'",
        ),
        (
            "ld: a.c:3: undefined reference to `sqrtf'\ncollect2: error: ld returned 1",
            "undefined reference to `sq",
        ),
        ("a.c: In function 'f':\na.c:1:5: error: unknown type name 'x'\n", "a.c:1:5: error: unknown type"),
        ("killed\n", "killed"),
        ("", "nothing was said"),
    ],
)
def test_of_all_that_a_compiler_says_the_line_that_tells_is_shown(said: str, found: str) -> None:
    error = CompileError(GCC, said)
    assert found in str(error)
    assert "\n" not in str(error)
    assert error.output == said


def test_an_object_is_named_by_all_that_it_depends_on() -> None:
    files = {"a/x.c": '#include "y.h"\n', "a/y.h": '#include "z.h"\n', "b/z.h": "1", "b/other.h": "2"}

    def key(flags: tuple[str, ...] = (), compiler: Compiler = GCC, **changes: str) -> str:
        changed = {
            name: changes.get(name.rpartition("/")[2].replace(".", "_"), text) for name, text in files.items()
        }
        return compilers._key(compiler, flags, "a/x.c", changed)

    assert key() == key(other_h="3")
    others = [
        key(z_h="3"),
        key(y_h=""),
        key(x_c=""),
        key(("-O1",)),
        key(compiler=replace(GCC, version="gcc 13")),
    ]
    assert len({key(), *others}) == 6
