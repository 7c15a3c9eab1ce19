"""The estimate of TFLite Micro's arena against what it took itself, as recorded in tests/golden/arena."""

import json
from pathlib import Path

import pytest

from converters import arena
from edge_sdk.graph import read_graph
from tests.unit.converters.graphs import Builder

GOLDEN = Path(__file__).parents[2] / "golden" / "arena"
MEASURED = json.loads((GOLDEN / "measured.json").read_text())["bytes"]
#: More than enough by at most this share, beside 512 bytes.
SLACK = 0.06


def check(model: bytes, measured: int) -> None:
    estimate = arena.tflm_bytes(read_graph(model))
    assert measured <= estimate <= (1 + SLACK) * measured + 512
    assert estimate % 16 == 0


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_the_estimate_holds_and_wastes_little(name: str) -> None:
    check((GOLDEN / f"{name}.tflite").read_bytes(), MEASURED[name])


@pytest.mark.parametrize(("name", "measured"), [("kws_dscnn_int8", 24_272), ("sine_int8", 1_504)])
def test_it_holds_for_public_models(public_data: Path, name: str, measured: int) -> None:
    check((public_data / "models" / f"{name}.tflite").read_bytes(), measured)


@pytest.mark.parametrize(
    ("name", "cmsis_nn_on_m4"),
    [("kws_dscnn_int8", 22_820), ("sine_int8", 772), ("ad01_autoencoder_int8", 2_580)],
)
def test_it_holds_for_cmsis_nn_on_a_cortex_m4(public_data: Path, name: str, cmsis_nn_on_m4: int) -> None:
    model = (public_data / "models" / f"{name}.tflite").read_bytes()
    assert arena.tflm_bytes(read_graph(model)) >= cmsis_nn_on_m4


def test_a_transposed_convolution_needs_its_sums_beside_its_output() -> None:
    b = Builder((1, 4, 4, 8), "int8")
    shape, weights = b.constant((4,), "int32"), b.constant((8, 2, 2, 8), "int8")
    end = b.op("TRANSPOSE_CONV", [shape, weights, 0], (1, 8, 8, 8), "int8")
    assert arena.tflm_bytes(b.graph(end)) >= 4 * 4 * 8 + 8 * 8 * 8 + 4 * 8 * 8 * 8 + 1024


def test_an_empty_graph_costs_the_interpreter_only() -> None:
    assert 1024 <= arena.tflm_bytes(Builder((1, 1)).graph(0)) < 1200
