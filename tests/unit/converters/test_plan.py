from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from converters.plan import ALIGNMENT, floor_bytes, plan
from edge_sdk.graph import Graph, read_graph
from tests.unit.converters.graphs import Builder


def chain(*sizes: int) -> Graph:
    b = Builder((1, sizes[0]), "int8")
    last = 0
    for size in sizes[1:]:
        last = b.op("FULLY_CONNECTED", [last, b.constant((size, sizes[0]), "int8")], (1, size), "int8")
    return b.graph(last)


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    assert plan(chain(64, 160, 32, 16)).arena_bytes == 64 + 160
    assert plan(chain(100, 10)).arena_bytes == 112 + 16


def test_a_residual_stays_alive_until_it_is_added() -> None:
    b = Builder((1, 64), "int8")
    first = b.op("FULLY_CONNECTED", [0, b.constant((64, 64), "int8")], (1, 64), "int8")
    second = b.op("FULLY_CONNECTED", [first, b.constant((64, 64), "int8")], (1, 64), "int8")
    end = b.op("ADD", [second, 0], (1, 64), "int8")
    assert plan(b.graph(end)).arena_bytes == 3 * 64


def test_a_reshape_needs_no_memory_of_its_own_and_weights_none_at_all() -> None:
    b = Builder((1, 8, 8), "int8")
    flat = b.op("RESHAPE", [0, b.constant((2,), "int32")], (1, 64), "int8")
    end = b.op("FULLY_CONNECTED", [flat, b.constant((16, 64), "int8")], (1, 16), "int8")
    found = plan(b.graph(end))
    assert found.arena_bytes == 64 + 16
    assert (0, flat) in [buffer.tensors for buffer in found.buffers]


def test_widened_float16_weights_are_no_activation() -> None:
    b = Builder((1, 16))
    wide = b.op("DEQUANTIZE", [b.constant((4, 16), "float16")], (4, 16))
    end = b.op("FULLY_CONNECTED", [0, wide], (1, 4))
    assert plan(b.graph(end)).arena_bytes == 64 + 16


def test_tflite_micro_copies_a_reshape_and_widens_weights_into_the_arena() -> None:
    b = Builder((1, 8, 8), "int8")
    flat = b.op("RESHAPE", [0, b.constant((2,), "int32")], (1, 64), "int8")
    assert plan(b.graph(flat), tflm=True).arena_bytes == 64 + 64
    b = Builder((1, 16))
    wide = b.op("DEQUANTIZE", [b.constant((4, 16), "int8")], (4, 16))
    end = b.op("FULLY_CONNECTED", [0, wide], (1, 4))
    assert plan(b.graph(end), tflm=True).arena_bytes == 4 * 16 * 4 + 64 + 16


def test_scratch_lives_as_long_as_its_operator_runs() -> None:
    assert plan(chain(64, 160, 32, 16), scratch={0: 1000}).arena_bytes == 64 + 160 + 1008
    assert plan(chain(64, 160, 32, 16), scratch={2: 10}).arena_bytes == 64 + 160
    assert plan(chain(64, 160)).alive_bytes(0) == 64 + 160


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 4)), min_size=1, max_size=12))
def test_buffers_that_live_together_never_overlap(layers: list[tuple[int, int]]) -> None:
    b = Builder((1, 50), "int8")
    made = [0]
    for size, back in layers:
        inputs = [made[-1], made[max(0, len(made) - 1 - back)]]
        made.append(b.op("CONCATENATION", inputs, (1, size), "int8"))
    found = plan(b.graph(made[-1]))
    for buffer in found.buffers:
        assert buffer.offset % ALIGNMENT == 0
        assert buffer.size >= max(b.tensors[i].bytes for i in buffer.tensors)
    for step in range(-1, len(b.ops) + 1):
        alive = sorted((x for x in found.buffers if x.first <= step <= x.last), key=lambda x: x.offset)
        assert all(x.offset + x.size <= y.offset for x, y in pairwise(alive))
    assert found.floor_bytes <= found.arena_bytes == max(x.offset + x.size for x in found.buffers)
    assert {i for x in found.buffers for i in x.tensors} == set(made)


@pytest.mark.parametrize(
    ("name", "peak"), [("kws_dscnn_int8", 16000), ("ad01_autoencoder_int8", 768), ("sine_int8", 32)]
)
def test_public_models_reach_the_floor(public_data: Path, name: str, peak: int) -> None:
    found = plan(read_graph((public_data / "models" / f"{name}.tflite").read_bytes()))
    assert found.arena_bytes == found.floor_bytes == peak


def test_an_empty_graph_needs_nothing() -> None:
    graph = Graph(version=3, subgraphs=1, tensors=[], ops=[], inputs=[], outputs=[])
    assert plan(graph).arena_bytes == 0
    assert np.isfinite(plan(graph).floor_bytes)


def test_the_floor_is_that_of_the_plan() -> None:
    for graph in (chain(64, 160, 32, 16), chain(100, 10)):
        assert floor_bytes(graph) == plan(graph).floor_bytes


def test_an_input_begins_behind_the_output_that_overwrites_it() -> None:
    graph = chain(64, 160, 32)
    (first, _), (second, _) = ((op.outputs[0], op.inputs[0]) for op in graph.ops)
    found = plan(graph, gaps={(first, 0): 112, (second, first): 0})
    places = {tensor: buffer.offset for buffer in found.buffers for tensor in buffer.tensors}
    assert places[0] - places[first] == 112
    assert places[first] - places[second] == 0
    assert found.arena_bytes == 112 + 64


def test_what_is_read_later_is_not_overwritten() -> None:
    b = Builder((1, 64), "int8")
    first = b.op("FULLY_CONNECTED", [0, b.constant((64, 64), "int8")], (1, 64), "int8")
    end = b.op("ADD", [first, 0], (1, 64), "int8")
    assert plan(b.graph(end), gaps={(first, 0): 0}).arena_bytes == 2 * 64 + 64


@given(
    sizes=st.lists(st.integers(1, 300), min_size=2, max_size=12),
    shares=st.lists(st.floats(0, 1), min_size=12, max_size=12),
    tries=st.sampled_from([0, 20]),
)
@example([1, 1, 1, 65, 81, 97], [0.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0], 0)
def test_buffers_share_bytes_only_across_their_gap(sizes: list[int], shares: list[float], tries: int) -> None:
    graph = chain(*sizes)
    gaps = {
        (op.outputs[0], op.inputs[0]): int(share * graph.tensors[op.outputs[0]].bytes)
        for op, share in zip(graph.ops, shares, strict=False)
    }
    found = plan(graph, gaps=gaps, tries=tries)
    assert found.arena_bytes <= plan(graph).arena_bytes
    for one in found.buffers:
        for other in found.buffers:
            alive = one is not other and one.first <= other.last and other.first <= one.last
            apart = one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
            if alive and not apart:
                written, read = (one, other) if one.first == other.last else (other, one)
                assert written.first == read.last
                assert read.offset - written.offset >= gaps[written.tensors[0], read.tensors[0]]
