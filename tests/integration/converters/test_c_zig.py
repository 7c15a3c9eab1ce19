"""Generated C and clang, as ziglang has it: it compiles for every core, and gives the same bits."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from converters.c import library
from tests.c_library import STRICT, Compiled
from tests.emulated import CORES, run
from tests.operators import EXACT
from tests.quantized import each, tried
from tests.tflm import Tflm

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs: pip install ziglang"),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]
#: Without a system: zig's checks and unwinding would need one.
BARE = ("-fno-sanitize=undefined", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-nostdlib")
#: Zig has a Cortex-M55 with vectors only if they are asked for.
PLAIN = ["m0plus", "m3", "m4", "m7", "m33", "m55", "m55+mve"]
BUILDS = [("thumb-freestanding-eabi", f"cortex_{core}", "-O2") for core in PLAIN]
BUILDS += [("thumb-freestanding-eabi", "cortex_m4", "-O0")]
BUILDS += [("thumb-freestanding-eabihf", "cortex_m55+mve+mve_fp", optimize) for optimize in ("-O0", "-O2")]
BUILDS += [("riscv32-freestanding", "baseline_rv32", "-O2")]
once = settings(tried, max_examples=1)


@pytest.fixture(scope="module")
def zig(tmp_path_factory):
    """Words of a command that compiles for a target."""
    with pytest.MonkeyPatch.context() as patch:
        for cache in ("GLOBAL", "LOCAL"):
            patch.setenv(f"ZIG_{cache}_CACHE_DIR", str(tmp_path_factory.mktemp("zig")))

        def words(target=None, cpu=None):
            command = (sys.executable, "-m", "ziglang", "cc")
            return command if target is None else (*command, "-target", target, f"-mcpu={cpu}", *BARE)

        yield words


@pytest.fixture(scope="module")
def tflm():
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("needs: pip install tflite-micro")
    with Tflm() as started:
        yield started


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("library")


@pytest.mark.parametrize(("target", "cpu", "optimize"), BUILDS)
def test_every_kernel_compiles_without_a_warning(zig, tmp_path, target, cpu, optimize):
    kernels = sorted(str(file) for file in library.KERNELS.glob("*.c"))
    command = [*zig(target, cpu), *STRICT, optimize, "-c", *kernels, "-o", tmp_path / "kernels.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@once
@given(trial=each(EXACT * 2))
def test_on_this_machine(zig, tflm, folders, trial):
    model = trial.flatbuffer()
    ours = Compiled(model, folders(), (*zig(), "-O2")).run(trial.inputs)
    for one, other in zip(ours, tflm.run(model, trial.inputs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="needs: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
)
@pytest.mark.parametrize(
    ("core", "flags", "target", "cpu"),
    [
        ("cortex-m4", ["-mcpu=cortex-m4"], "thumb-freestanding-eabi", "cortex_m4"),
        ("cortex-m55", CORES["cortex-m55"].flags, "thumb-freestanding-eabihf", "cortex_m55+mve+mve_fp"),
    ],
)
@once
@given(trial=each(EXACT * 2))
def test_on_an_emulated_core(zig, tflm, folders, trial, core, flags, target, cpu):
    model = trial.flatbuffer()
    found = run(model, replace(CORES[core], flags=flags), trial.inputs, folders(), compiler=zig(target, cpu))
    for one, other in zip(found.outputs, tflm.run(model, trial.inputs), strict=True):
        np.testing.assert_array_equal(one, other)
