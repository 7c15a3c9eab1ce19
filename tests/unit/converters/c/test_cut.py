import contextlib

import numpy as np
import pytest

from converters.c import cut, library, reference
from converters.c.lower import lower
from edge_sdk.errors import ModelError
from edge_sdk.graph import read_graph
from tests import kinds
from tests.kinds import Net
from tests.spectrograms import Spectrogram

S = (0.05, 3)


def prepared(*, apart: bool = False) -> bytes:
    """Two inputs: x goes through operators without a kernel, z is quantized as it is."""
    net = Net()
    x, z = net.input("x", [1, 4]), net.input("z", [1, 4])
    y = net.op("FLOOR", [x], [1, 4])
    y = net.op("CEIL", [y], [1, 4])
    ways = [net.op("QUANTIZE", [tensor], [1, 4], "int8", S) for tensor in (y, z)]
    if apart:
        ways.append(net.op("QUANTIZE", [net.op("FLOOR", [z], [1, 4])], [1, 4], "int8", S))
    total = ways[0]
    for way in ways[1:]:
        total = net.op("ADD", [total, way], [1, 4], "int8", (0.1, 3))
    net.output("total", net.op("DEQUANTIZE", [total], [1, 4]))
    return net.flatbuffer()


def test_a_model_begins_at_its_last_float_tensor_and_keeps_its_other_inputs() -> None:
    graph = read_graph(prepared())
    found = cut.find(graph)
    assert found is not None
    assert [graph.tensors[index].name for index in found.tensors] == ["t3"]
    program = lower(cut.cut(prepared()))
    assert [program.graph.tensors[index].name for index in program.graph.inputs] == [
        "t3",
        "serving_default_z:0",
    ]
    x, z = np.array([[0.5, 1, -2, 0]], np.float32), np.array([[1, 1, 1, 1.05]], np.float32)
    (sums,) = reference.run(program, [x, z])
    np.testing.assert_allclose(sums, x + z, atol=0.06)


def test_each_way_has_a_cut_of_its_own() -> None:
    graph = read_graph(prepared(apart=True))
    found = cut.find(graph)
    assert found is not None
    assert [graph.tensors[index].name for index in found.inputs] == ["t3", "t6", "serving_default_z:0"]
    assert len(lower(cut.cut(prepared(apart=True))).graph.inputs) == 3


def test_what_is_refused_names_the_tensor_and_the_option() -> None:
    with pytest.raises(ModelError) as raised:
        lower(prepared())
    text = str(raised.value)
    assert "FLOOR 0 has no kernel" in text
    assert "compute t3 (float32 [1, 4]) in your own code, and give --cut" in text


def test_where_more_than_the_preparation_has_no_kernel_a_cut_is_not_offered() -> None:
    net = Net()
    y = net.op("FLOOR", [net.input("x", [1, 4])], [1, 4])
    y = net.op("QUANTIZE", [y], [1, 4], "int8", S)
    net.output("y", net.op("CEIL", [y], [1, 4], "int8", S))
    with pytest.raises(ModelError) as raised:
        lower(net.flatbuffer())
    assert "--cut" not in str(raised.value)
    with pytest.raises(ModelError, match="CEIL"):
        library.render(net.flatbuffer(), None, "m", cut=True)


def test_nothing_to_cut_off_is_an_error() -> None:
    net = Net()
    y = net.op("QUANTIZE", [net.input("x", [1, 4])], [1, 4], "int8", S)
    net.output("y", y)
    with pytest.raises(ModelError, match=r"nothing can be cut off.*serving_default_x.*leave --cut out"):
        library.render(net.flatbuffer(), None, "m", cut=True)
    with pytest.raises(ModelError, match="nothing can be cut off"):
        library.figures(kinds.doubled("int8", S), cut=True)


def test_state_that_is_assigned_behind_the_cut_stays() -> None:
    net = Net()
    handle = net.op("VAR_HANDLE", [], [1], "int32", container="", sharedName="kept", kind="VarHandleOptions")
    y = net.op("FLOOR", [net.input("x", [1, 4])], [1, 4])
    y = net.op("QUANTIZE", [y], [1, 4], "int8", S)
    before = net.op("READ_VARIABLE", [handle], [1, 4], "int8", S)
    net.op("ASSIGN_VARIABLE", [handle, y], [1, 4])
    net.output("y", net.op("ADD", [y, before], [1, 4], "int8", (0.1, 3)))
    program = lower(cut.cut(net.flatbuffer()))
    state = reference.first_state(program)
    one = np.ones((1, 4), np.float32)
    first, second = (reference.run(program, [one], state)[0] for _ in range(2))
    assert (first == 13).all()
    assert (second == 23).all()


@pytest.mark.parametrize("at", range(4, 400, 36))
def test_damage_is_an_error_of_ours(at: int) -> None:
    damaged = bytearray(Spectrogram().flatbuffer())
    damaged[at : at + 4] = b"\xff\xff\xff\x7f"
    with contextlib.suppress(ModelError):
        assert library.render(bytes(damaged), None, "m", cut=True)
