"""Outputs that overwrite their inputs as early as the rules allow, for every kind of core: no bit changes."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings

from converters.c import memory, overlap, reference
from converters.c.lower import lower
from converters.c.memory import Memory
from tests.c_library import Compiled
from tests.emulated import CORES, run
from tests.operators import convolution, elementwise, pooling, unary
from tests.quantized import CASES, Trial, each, tried

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]
_FAMILIES = [
    *[convolution.CONV_2D] * 4,
    *[convolution.DEPTHWISE_CONV_2D] * 4,
    *[convolution.FULLY_CONNECTED] * 2,
    *[pooling.POOLS] * 4,
    *[pooling.REDUCTIONS] * 2,
    unary.FUNCTIONS_OF_ONE_INT8,
    unary.SOFTMAX,
    unary.CONVERSIONS,
    *[elementwise.ARITHMETIC] * 2,
]
_SPARE = 64


def tight(program, less=0):
    """Every input begins as little behind its output as the rules ask for, and `less` than that."""
    tensors, gaps = program.graph.tensors, overlap.gaps(program)
    offset, scratch, end = {}, {}, _SPARE

    def put(tensor, place):
        nonlocal end
        offset[tensor] = place
        end = max(end, place + tensors[tensor].bytes)

    for step in program.steps:
        end = -(-end // 16) * 16
        put(step.output, end)
        tensor = next((i for i in step.inputs if (step.output, i) in gaps), None)
        if tensor is not None:
            gap = gaps[step.output, tensor]
            put(tensor, offset[step.output] + gap - less * bool(gap))
        end = -(-end // 16) * 16
        scratch[step.op] = end
        end += step.scratch_bytes
    for tensor in program.graph.inputs:
        if tensor not in offset:
            put(tensor, -(-end // 16) * 16)
    return Memory(end, offset, scratch, 0)


def overwritten(program, less=0):
    """How many outputs share bytes with their input in the tight plan."""
    planned, tensors = tight(program, less), program.graph.tensors
    return sum(
        planned.offset[read] < planned.offset[written] + tensors[written].bytes
        for written, read in overlap.gaps(program)
        if planned.offset[written] <= planned.offset[read]
    )


@pytest.fixture
def compiled(monkeypatch, tmp_path_factory):
    def build(trial, less=0):
        monkeypatch.setattr(memory, "place", lambda program: tight(program, less))
        return Compiled(trial.flatbuffer(), tmp_path_factory.mktemp("library"))

    return build


def expected(program, trial):
    """Outputs [n, …] by the numpy kernels, which have no arena."""
    rows = [reference.run(program, [x[n] for x in trial.inputs]) for n in range(trial.count)]
    return [np.stack(outputs) for outputs in zip(*rows, strict=True)]


@settings(tried, max_examples=max(1, CASES // 2))
@given(trial=each(_FAMILIES))
def test_on_the_host(compiled, trial):
    library = compiled(trial)
    for one, other in zip(library.run(trial.inputs), expected(library.program, trial), strict=True):
        np.testing.assert_array_equal(one, other)


def mixed():
    """Convolutions, pools and products of rows, of sizes that vectors and pairs divide and of others."""
    trial = Trial(np.random.default_rng(int(os.environ.get("EDGEML_C_SEED", "3"))))
    rng = trial.rng
    for n in range(32):
        facts = {
            "input": (0.05, int(rng.integers(-128, 128))),
            "weight_scale": 0.01,
            "output_zero_point": int(rng.integers(-128, 128)),
            "gain": 0.3,
            "per_channel": True,
            "bias": 1,
            "extreme": False,
            "activation": 0,
            "batch": 1 + n % 2,
            "height": int(rng.integers(4, 9)),
            "width": int(rng.integers(4, 9)),
            "channels": [2, 4, 7, 8, 16, 20, 24, 35][n % 8],
            "kernel": [(3, 3), (1, 1), (2, 3), (3, 1)][n // 8],
            "stride": [(1, 1), (2, 2), (1, 1), (1, 2)][rng.integers(4)],
            "dilation": (1, 1),
            "same": bool(rng.integers(4)),
            "multiplier": [1, 1, 1, 2][n % 4],
            "units": [3, 8, 16, 5, 12][n % 5],
            "rows": int(rng.integers(9, 30)),
            "depth": int(rng.integers(3, 40)),
            "name": ["MAX_POOL_2D", "AVERAGE_POOL_2D"][n % 2],
        }
        add = [
            convolution.add_conv_2d,
            convolution.add_depthwise_conv_2d,
            convolution.add_depthwise_conv_2d,
            pooling.add_pool,
            convolution.add_fully_connected,
        ][n % 5 if n % 9 else 4]
        add(trial, facts)
    return trial


def test_one_byte_earlier_is_too_early(compiled):
    """Else rules could be too careful, or these tests too weak."""
    trial = mixed()
    library = compiled(trial, less=1)
    assert overwritten(library.program) > 24
    found = zip(library.run(trial.inputs), expected(library.program, trial), strict=True)
    assert sum(not np.array_equal(one, other) for one, other in found) > 2


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="needs: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
)
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_on_cores(monkeypatch, tmp_path, core):
    trial = mixed()
    program = lower(trial.flatbuffer())
    monkeypatch.setattr(memory, "place", tight)
    found = run(trial.flatbuffer(), CORES[core], trial.inputs, tmp_path)
    for one, other in zip(found.outputs, expected(program, trial), strict=True):
        np.testing.assert_array_equal(one, other)
