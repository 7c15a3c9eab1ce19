"""Generated C on emulated Cortex-M cores: the bits of TFLite Micro, and no more instructions than before."""

import importlib.util
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.c import library
from converters.c.lower import lower
from tests import tiny_models
from tests.c_library import STRICT
from tests.emulated import CORES, run
from tests.integration.converters.test_c_models import (
    GOLDEN,
    MADE,
    TRAINED,
    TRAINED_FOLDER,
    drawn,
    with_batches,
)
from tests.operators import convolution, elementwise
from tests.quantized import Trial
from tests.tflm import Tflm

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
    ),
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
        reason="needs: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    ),
]
#: Figures of the last time; EDGEML_C_FIGURES=write puts the present ones there.
RECORDED = Path(__file__).parents[2] / "golden" / "c_library" / "figures.json"
#: Whose figures are held; a Cortex-M33 runs what a Cortex-M4 does.
MEASURED = [core for core in CORES if core != "cortex-m33"]
PUBLIC = ["ad01_autoencoder_int8", "kws_dscnn_int8", "sine_int8"]
INPUTS = 32
#: Another patch release of the compiler may move a few instructions.
MORE = 1.02


@pytest.fixture(scope="module")
def tflm():
    with Tflm() as started:
        yield started


@pytest.fixture(scope="module")
def recorded():
    figures = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    yield figures
    if os.environ.get("EDGEML_C_FIGURES") == "write":
        RECORDED.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")


def compare(flatbuffer, tflm, folder, core, count):
    inputs = drawn(lower(flatbuffer).graph, count)
    found = run(flatbuffer, CORES[core], inputs, folder)
    for one, other in zip(found.outputs, tflm.run(with_batches(flatbuffer), inputs), strict=True):
        np.testing.assert_array_equal(one.reshape(count, -1), other.reshape(count, -1))
    return {
        "instructions": max(found.instructions),
        "flash_bytes": found.flash_bytes,
        "arena_bytes": found.arena_bytes,
        "stack_bytes": found.stack_bytes,
    }


def held(recorded, name, core, figures):
    if os.environ.get("EDGEML_C_FIGURES") == "write":
        recorded.setdefault(name, {})[core] = figures
    for what, value in figures.items():
        assert value <= recorded[name][core][what] * MORE, f"{name} on {core} takes more {what}"


@pytest.mark.parametrize("core", MEASURED)
@pytest.mark.parametrize("name", PUBLIC)
def test_public_models(public_data, recorded, tflm, tmp_path, name, core):
    model = (public_data / "models" / f"{name}.tflite").read_bytes()
    held(recorded, name, core, compare(model, tflm, tmp_path, core, INPUTS))


@pytest.mark.parametrize("core", MEASURED)
@pytest.mark.parametrize("name", MADE)
def test_models_made_with_keras(recorded, tflm, tmp_path, name, core):
    model = (GOLDEN / f"{name}.tflite").read_bytes()
    held(recorded, name, core, compare(model, tflm, tmp_path, core, INPUTS if name != "up_int8" else 4))


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("name", TRAINED)
def test_trained_models(recorded, tflm, tmp_path, name, core):
    """Pictures are many instructions: a few of them here, all where more is asked for."""
    model = (TRAINED_FOLDER / f"{name}.tflite").read_bytes()
    few = TRAINED[name] < 1 and "EDGEML_C_CASES" not in os.environ
    held(recorded, f"trained_{name}", core, compare(model, tflm, tmp_path, core, 6 if few else INPUTS))


@pytest.mark.parametrize("optimize", ["-O0", "-Os", "-O2 -fno-omit-frame-pointer", "-O3"])
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_kernels_compile_for_every_core_however_it_is_asked(tmp_path, core, optimize):
    kernels = sorted(str(file) for file in library.KERNELS.glob("*.c"))
    float_abi = ["-mfloat-abi=hard"] if core == "cortex-m55" else []
    command = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", *float_abi, *optimize.split(), *STRICT, "-c"]
    subprocess.run([*command, *kernels], cwd=tmp_path, check=True)


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("network", [tiny_models.resnet_8, tiny_models.visual_wake_words])
def test_networks_of_mlperf_tiny(recorded, tflm, tmp_path, network, core):
    held(recorded, network.__name__, core, compare(network(), tflm, tmp_path, core, 2))


ADDED = [
    convolution.add_fully_connected,
    convolution.add_conv_2d,
    convolution.add_depthwise_conv_2d,
    elementwise.add_arithmetic,
]


def facts(rng):
    """Of an operator: sizes that no block divides, scales that shift either way."""
    pick = rng.integers
    shape = [int(n) for n in pick(1, 8, 3)]
    other = [n if pick(3) else 1 for n in shape]
    return {
        "input": (float(np.float32(rng.uniform(0.001, 0.5))), int(pick(-128, 128))),
        "weight_scale": float(np.float32(rng.uniform(0.001, 0.05))),
        "output_zero_point": int(pick(-128, 128)),
        "gain": float(rng.choice([0.003, 0.3, 1, 3])),
        "per_channel": bool(pick(2)),
        "bias": int(pick(3)),
        "extreme": bool(pick(2)),
        "activation": int(rng.choice([0, 1, 3])),
        "batch": int(pick(1, 3)),
        "height": int(pick(1, 9)),
        "width": int(pick(1, 9)),
        "channels": int(rng.choice([1, 2, 3, 4, 7, 16, 19, 36])),
        "kernel": (int(pick(1, 5)), int(pick(1, 5))),
        "stride": (int(pick(1, 3)), int(pick(1, 3))),
        "dilation": [(1, 1), (2, 1), (1, 3)][pick(3)],
        "same": bool(pick(2)),
        "multiplier": int(rng.choice([1, 1, 2, 3])),
        "rows": int(pick(1, 4)),
        "depth": int(pick(1, 70)),
        "units": int(pick(1, 11)),
        "name": str(rng.choice(["ADD", "SUB"])),
        "shapes": [shape, other, shape],
        "a": (float(np.float32(rng.uniform(0.001, 0.5))), int(pick(-128, 128))),
        "zero_b": int(pick(-128, 128)),
        "ratio": float(rng.choice([0.02, 1, 1.7, 40])),
        "constant": bool(pick(2)),
    }


@pytest.mark.parametrize("core", CORES)
def test_operators_that_cores_have_kernels_for(tflm, tmp_path, core):
    trial = Trial(np.random.default_rng(int(os.environ.get("EDGEML_C_SEED", "0"))))
    for _ in range(12):
        for add in ADDED:
            add(trial, facts(trial.rng))
    model = trial.flatbuffer()
    found = run(model, CORES[core], trial.inputs, tmp_path)
    for one, other in zip(found.outputs, tflm.run(model, trial.inputs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_whole_model_on_a_cortex_m33(tflm, tmp_path):
    figures = compare((GOLDEN / "har_int8.tflite").read_bytes(), tflm, tmp_path, "cortex-m33", INPUTS)
    assert (
        figures["instructions"]
        < json.loads(RECORDED.read_text())["har_int8"]["cortex-m4"]["instructions"] * 2
    )


def test_a_fault_fails_and_does_not_hang(tmp_path):
    model = (GOLDEN / "har_int8.tflite").read_bytes()
    core = replace(CORES["cortex-m4"], defines=("-DFAULT",))
    with pytest.raises(RuntimeError, match="expected inferences to the end, found 'fault'"):
        run(model, core, drawn(lower(model).graph, 3), tmp_path)
