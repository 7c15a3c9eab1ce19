import numpy as np

from converters.c import library, reference
from converters.c.lower import lower
from tests.kinds import Net

S, T = (0.05, 3), (0.02, -7)
SHAPE = [1, 4]


def swish(net: Net, x: int) -> tuple[int, int]:
    gate = net.op("LOGISTIC", [x], SHAPE, "int8", (1 / 256, -128))
    return gate, net.op("MUL", [x, gate], SHAPE, "int8", T)


def started() -> tuple[Net, int]:
    net = Net()
    return net, net.input("x", SHAPE, "int8", S)


def kernels(net: Net) -> list[str]:
    return [step.layer.kernel for step in lower(net.flatbuffer()).steps]


def test_a_chain_is_one_table_and_its_operators_are_named_beside_it() -> None:
    net, x = started()
    net.output("y", swish(net, x)[1])
    assert kernels(net) == ["edgeml_lookup"]
    assert "/* LOGISTIC MUL -> " in library.render(net.flatbuffer(), None, "m")["src/model.c"]
    values = np.array([[-128, 0, 3, 127]], np.int8)
    (found,) = reference.run(lower(net.flatbuffer()), [values])
    real = 0.05 * (values.astype(float) - 3)
    np.testing.assert_allclose(
        0.02 * (found.astype(float) + 7), np.clip(real / (1 + np.exp(-real)), None, 2.68), atol=0.03
    )


def test_what_is_read_elsewhere_is_a_table_too_and_the_rest_begins_there() -> None:
    net, x = started()
    y = net.op("TANH", [x], SHAPE, "int8", (1 / 128, 0))
    net.output("y", y)
    z = net.op("DEQUANTIZE", [y], SHAPE)
    net.output("z", net.op("QUANTIZE", [net.op("NEG", [z], SHAPE)], SHAPE, "int8", T))
    program = lower(net.flatbuffer())
    assert [(step.inputs, step.output) for step in program.steps] == [
        ((x,), y),
        ((y,), program.graph.outputs[1]),
    ]


def test_a_chain_that_needs_both_begins_at_what_both_are_made_of() -> None:
    net, x = started()
    gate, y = swish(net, x)
    net.output("gate", gate)
    net.output("y", y)
    assert [step.inputs for step in lower(net.flatbuffer()).steps] == [(x,), (x,)]


def test_what_has_a_number_a_channel_is_no_chain() -> None:
    net, x = started()
    slopes = net.constant(np.arange(4, dtype=np.int8), S)
    net.output("y", net.op("MUL", [x, slopes], SHAPE, "int8", T))
    assert kernels(net) == ["edgeml_mul"]


def test_two_inputs_are_no_chain() -> None:
    net, x = started()
    other = net.input("other", SHAPE, "int8", S)
    one = net.op("RELU", [x], SHAPE, "int8", T)
    net.output("y", net.op("ADD", [one, other], SHAPE, "int8", T))
    assert kernels(net) == ["edgeml_lookup", "edgeml_add"]


def test_what_stays_float_is_no_chain() -> None:
    net, x = started()
    y = net.op("DEQUANTIZE", [x], SHAPE)
    net.output("y", net.op("MUL", [y, net.constant(np.array([2.0], np.float32))], SHAPE))
    assert kernels(net) == ["edgeml_dequantize", "edgeml_float_mul"]


def test_a_long_row_of_functions_is_one_table() -> None:
    net, x = started()
    for _ in range(60):
        x = net.op("DEQUANTIZE", [x], SHAPE)
        x = net.op("QUANTIZE", [net.op("NEG", [x], SHAPE)], SHAPE, "int8", (0.05, -1))
    net.output("y", x)
    assert set(kernels(net)) == {"edgeml_lookup"}
    assert len(kernels(net)) <= 60 // 15 + 1


def test_what_nothing_reads_is_left_out() -> None:
    net, x = started()
    net.op("ABS", [x], SHAPE, "int8", S)
    net.output("y", net.op("RELU", [x], SHAPE, "int8", T))
    assert len(kernels(net)) == 1
