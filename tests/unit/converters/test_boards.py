from dataclasses import replace

import pytest

from converters import advice, boards, xnnpack
from converters.boards import Cost
from edge_sdk.errors import UnknownNameError
from tests.unit.converters.graphs import Builder

INT8 = Cost(
    flash_bytes=50_000,
    arena_bytes=20_000,
    ops=frozenset({"CONV_2D", "SOFTMAX"}),
    weights=frozenset({"int8"}),
    activations=frozenset({"int8"}),
    results=frozenset({("CONV_2D", "int8"), ("SOFTMAX", "int8")}),
    tflm_bytes=24_000,
    peak="operator 3 CONV_2D [1, 48, 48, 16]",
)
FLOAT = replace(
    INT8,
    weights=frozenset({"float32"}),
    activations=frozenset({"float32"}),
    results=frozenset({("CONV_2D", "float32"), ("SOFTMAX", "float32")}),
)


def test_one_board_is_found_by_its_name() -> None:
    assert boards.find("cortex-m4").engine.name == "tflm"
    assert boards.find("ethos-u55-128").npu is not None
    with pytest.raises(UnknownNameError, match="did you mean 'ethos-u55-128'"):
        boards.find("ethos-u55-12")


def test_every_board_has_an_engine_that_exists() -> None:
    for board in boards.load().values():
        assert board.engine.program_ram_bytes < board.ram_bytes
        assert (board.npu is not None) == (board.engine.name == "ethos-u")


@pytest.mark.parametrize(
    ("changes", "reason", "remedy"),
    [
        ({"ops": INT8.ops | {"GELU"}}, "TFLite Micro has no GELU", "use relu or hard_silu in place of gelu"),
        ({"ops": INT8.ops | {"UNIQUE"}}, "has no UNIQUE", "leave UNIQUE out of the graph, or take a board"),
        ({"results": INT8.results | {("SQRT", "int8")}}, "no SQRT in int8", "leave SQRT out of the graph"),
        ({"results": INT8.results | {("ELU", "int16")}}, "no ELU in int16", "convert with --recipe int8"),
        ({"weights": frozenset({"float16"})}, "float16 weights", "--recipe int8 or float32"),
        ({"traits": frozenset({"hybrid"})}, "int8 weights with float32", "convert with --recipe int8"),
        ({"tflm_bytes": 310_000}, "RAM: 310 kB", "the peak is at operator 3 CONV_2D [1, 48, 48, 16]"),
        ({"flash_bytes": 2_000_000}, "flash: 2,000 kB", "fewer channels or layers"),
        ({"unknown": ("x [-1, -1, 3]",)}, "x [-1, -1, 3] is known at run time only", "fix the batch to 1"),
    ],
)
def test_what_stands_in_the_way_comes_with_what_to_do(
    changes: dict[str, object], reason: str, remedy: str
) -> None:
    fit = boards.judge(boards.find("cortex-m4"), replace(INT8, **changes))  # type: ignore[arg-type]
    assert not fit.runs
    assert reason in "; ".join(fit.reasons)
    assert remedy in "; ".join(fit.remedies)
    assert fit.engine == "tflm"
    assert not fit.measured


def test_tflite_micro_pays_for_its_bookkeeping_and_litert_does_not() -> None:
    assert "arena 24.0 kB of 262 kB RAM" in boards.judge(boards.find("cortex-m4"), INT8).reasons
    assert "activations 20.0 kB of 1,000 MB RAM" in boards.judge(boards.find("rpi4"), INT8).reasons


def test_a_float_model_that_is_too_large_is_told_to_become_int8_first() -> None:
    fit = boards.judge(boards.find("cortex-m4"), replace(FLOAT, tflm_bytes=400_000, flash_bytes=4_000_000))
    assert fit.remedies[0] == "convert with --recipe int8: a quarter of the weights"
    assert fit.remedies[2] == "convert with --recipe int8: a quarter of the activations"


def test_a_further_engine_is_judged_beside_the_one_that_counts() -> None:
    ours = boards.judge(boards.find("cortex-m4"), INT8).others["edgeml-c"]
    assert ours.runs
    ours = boards.judge(boards.find("cortex-m4"), FLOAT).others["edgeml-c"]
    assert not ours.runs
    assert "has CONV_2D, SOFTMAX in int8 only" in ours.reasons[0]
    assert any("convert with --recipe int8" in remedy for remedy in ours.remedies)


def test_float_arithmetic_ahead_of_the_first_quantize_is_no_obstacle() -> None:
    results = INT8.results | {("SUB", "float32"), ("MUL", "float32"), ("DEQUANTIZE", "float32")}
    cost = replace(INT8, ops=INT8.ops | {"SUB", "MUL", "DEQUANTIZE"}, results=results)
    engine = boards.load_engines()["edgeml-c"]
    assert boards.refusals(engine, cost) == ([], [])


def test_an_npu_that_was_not_asked_says_so() -> None:
    board = boards.find("ethos-u55-128")
    fit = boards.judge(board, INT8)
    assert fit.runs
    assert "edgeml inspect --board ethos-u55-128 compiles it with Vela" in fit.reasons[-1]
    fit = boards.judge(board, FLOAT)
    assert not fit.runs
    assert "convert with --recipe int8" in "; ".join(fit.remedies)


def test_weights_that_are_widened_run_slowly_on_a_microcontroller() -> None:
    cost = replace(FLOAT, weights=frozenset({"int8"}), traits=frozenset({"widened"}))
    fit = boards.judge(boards.find("cortex-m4"), cost)
    assert fit.runs
    assert "slow: widens its weights" in fit.reasons[-1]
    assert fit.remedies == ("convert with --recipe int8",)
    assert boards.judge(boards.find("rpi4"), cost).remedies == ()


def test_an_old_runtime_refuses_one_kind_of_layer() -> None:
    cost = replace(FLOAT, traits=frozenset({"hybrid", "hybrid per-channel FULLY_CONNECTED"}))
    assert boards.judge(boards.find("rpi4"), cost).runs
    fit = boards.judge(boards.find("rpi3-32bit"), cost)
    assert not fit.runs
    assert fit.remedies == (advice.OLD_RUNTIME,)


def test_every_operator_that_tflite_micro_lacks_has_some_advice() -> None:
    from edge_sdk.operators import NAMES

    for name in set(NAMES) - boards.load_engines()["tflm"].ops:
        assert advice.operators([name])


def test_the_operators_behind_a_part_are_those_between_its_borders() -> None:
    b = Builder((1, 8))
    a = b.op("RELU", [0], (1, 8))
    c = b.op("ABS", [a], (1, 8))
    d = b.op("ADD", [c, a], (1, 8))
    end = b.op("NEG", [d], (1, 8))
    graph = b.graph(end)
    assert xnnpack.behind(graph, []) == set()
    assert xnnpack.behind(graph, [{"inputs": [a], "outputs": [d]}]) == {1, 2}
    assert xnnpack.behind(graph, [{"inputs": [0], "outputs": [a]}, {"inputs": [d], "outputs": [end]}]) == {
        0,
        3,
    }
