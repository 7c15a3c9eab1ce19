from pathlib import Path

import pytest

from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, read_graph
from edge_sdk.modelfile import digest_of
from firmware_bridge import glue
from tests.kinds import Net

GOLDEN = Path(__file__).parents[2] / "golden"
S = (0.05, 3)


def graph_of(shape: tuple[int, ...]) -> Graph:
    net = Net()
    x = net.input("x", shape, "int8", S)
    net.output("y", net.op("RELU", [x], shape, "int8", S))
    return read_graph(net.flatbuffer())


def test_the_text_is_the_golden_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.c_text.version", lambda: "0")
    model = (GOLDEN / "c_library" / "gesture.tflite").read_bytes()
    text = glue.render(read_graph(model), "gesture", digest_of(model))
    assert text == (GOLDEN / "firmware" / "glue.c").read_text(encoding="ascii")


def test_a_tensor_keeps_its_scale_and_its_name_in_the_signature() -> None:
    text = glue.render(graph_of((1, 4, 2)), "m", "sha256:" + "ab" * 32)
    assert '.name = "x", .data = input, .bytes = 8' in text
    assert ".scale = 0.05f, .zero_point = 3, .dtype = EDGEML_INT8" in text
    assert ".rank = 3, .shape = { 1, 4, 2 }" in text
    assert ".inputs = 1" in text


def test_whatever_a_name_holds_stays_text() -> None:
    text = glue.render(graph_of((1, 4)), '"; */ int x(void) { return 0; } /* ??/', "sha256:" + "00" * 32)
    assert '"\\042; */ int x(void) { return 0; } /* \\077\\077/"' in text
    assert text.isascii()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1, 2, 3), (1, 70_000)])
def test_what_the_bridge_cannot_describe_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ModelError, match="cannot describe tensor x: expected at most 6 axes of at most 65535"
    ):
        glue.render(graph_of(shape), "m", "sha256:" + "00" * 32)
