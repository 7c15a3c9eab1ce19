"""Every operator: the generated C, the numpy kernel beside it, and TFLite Micro give the same bits."""

import importlib.util
import shutil

import numpy as np
import pytest
from hypothesis import given

from converters.c import reference
from converters.c.lower import lower
from tests import litert
from tests.c_library import Compiled
from tests.operators import (
    blocks,
    chains,
    convolution,
    elementwise,
    matrices,
    movement,
    pooling,
    recurrent,
    unary,
)
from tests.quantized import tried
from tests.tflm import Tflm

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
    ),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]


@pytest.fixture(scope="module")
def tflm():
    with Tflm() as started:
        yield started


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("library")


@pytest.fixture
def check(tflm, folders):
    def compare(trial, tolerance=0, run=tflm.run):
        model = trial.flatbuffer()
        compiled = Compiled(model, folders())
        ours = compiled.run(trial.inputs)
        theirs = ours if run is None else run(model, trial.inputs)
        state = reference.first_state(compiled.program)
        again = [
            reference.run(compiled.program, [x[n] for x in trial.inputs], state) for n in range(trial.count)
        ]
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            third = np.stack([outputs[number] for outputs in again])
            if one.dtype == np.float32:
                np.testing.assert_allclose(one, other, rtol=tolerance)
                np.testing.assert_allclose(one, third, rtol=tolerance)
            else:
                np.testing.assert_array_equal(one, other, f"output {number}: C against the reference")
                np.testing.assert_array_equal(one, third, f"output {number}: C against numpy")

    return compare


@tried
@given(trial=convolution.FULLY_CONNECTED.trials())
def test_fully_connected(check, trial):
    check(trial)


@tried
@given(trial=convolution.CONV_2D.trials())
def test_conv_2d(check, trial):
    check(trial)


@tried
@given(trial=convolution.DEPTHWISE_CONV_2D.trials())
def test_depthwise_conv_2d(check, trial):
    check(trial)


@tried
@given(trial=convolution.TRANSPOSE_CONV.trials())
def test_transpose_conv(check, trial):
    check(trial)


@tried
@given(trial=pooling.POOLS.trials())
def test_pools(check, trial):
    check(trial)


@tried
@given(trial=pooling.REDUCTIONS.trials())
def test_reductions(check, trial):
    check(trial)


@tried
@given(trial=recurrent.LSTM.trials())
def test_lstm(check, trial):
    """State is kept from one inference to the next."""
    check(trial)


@tried
@given(trial=unary.FUNCTIONS_OF_ONE_INT8.trials())
def test_functions_of_one_int8(check, trial):
    check(trial)


@tried
@given(trial=unary.FUNCTIONS_OF_LITERT.trials())
def test_functions_of_one_int8_that_only_litert_has(check, trial):
    check(trial, run=litert.run)


@tried
@given(trial=unary.L2_NORMALIZATION.trials())
def test_l2_normalization(check, trial):
    check(trial)


@tried
@given(trial=unary.SOFTMAX.trials())
def test_softmax(check, trial):
    check(trial)


@tried
@given(trial=unary.CONVERSIONS.trials())
def test_quantize_and_dequantize(check, trial):
    check(trial)


@tried
@given(trial=elementwise.ARITHMETIC.trials())
def test_arithmetic(check, trial):
    check(trial)


@tried
@given(trial=elementwise.EXTREMES.trials())
def test_extremes(check, trial):
    check(trial)


@tried
@given(trial=elementwise.SQUARED_DIFFERENCE.trials())
def test_squared_difference(check, trial):
    check(trial)


@tried
@given(trial=elementwise.PRELU.trials())
def test_prelu(check, trial):
    check(trial)


@tried
@given(trial=matrices.BATCH_MATMUL.trials())
def test_batch_matmul(check, trial):
    check(trial)


@tried
@given(trial=elementwise.FLOAT_ARITHMETIC.trials())
def test_float_arithmetic(check, trial):
    check(trial, tolerance=1e-6)


@tried
@given(trial=movement.CONCATENATION.trials())
def test_concatenation(check, trial):
    check(trial)


@tried
@given(trial=movement.MOVEMENT.trials())
def test_movement(check, trial):
    check(trial)


@tried
@given(trial=movement.RESIZE_BILINEAR.trials())
def test_resize_bilinear(check, trial):
    check(trial)


@tried
@given(trial=movement.RESIZE_NEAREST_NEIGHBOR.trials())
def test_resize_nearest_neighbor(check, trial):
    check(trial)


@tried
@given(trial=blocks.BLOCKS_OF_BATCHES.trials())
def test_blocks(check, trial):
    check(trial)


@tried
@given(trial=blocks.DEPTH.trials())
def test_depth(check, trial):
    check(trial)


@tried
@given(trial=blocks.PADDED_BLOCKS.trials())
def test_padded_blocks(check, trial):
    """TFLite Micro never sets what it pads with; LiteRT takes the zero point."""
    check(trial, run=None)


@tried
@given(trial=chains.CHAINS.trials())
def test_chains(check, trial):
    check(trial)
    calls = {step.layer.kernel for step in lower(trial.flatbuffer()).steps}
    assert calls == {"edgeml_lookup"}
