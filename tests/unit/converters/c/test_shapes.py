import numpy as np
import pytest

from converters.c import reference
from converters.c.lower import lower
from edge_sdk.errors import ModelError
from tests.kinds import Net

S = (0.05, 3)


def sizes_of(net: Net, tensor: int, rank: int) -> list[int]:
    """The size of each axis of a tensor, computed as the model runs."""
    shape = net.op("SHAPE", [tensor], [rank], "int32")
    found = []
    for axis in range(rank):
        bounds = [net.constant(np.array([n], np.int32)) for n in (axis, axis + 1, 1)]
        found.append(net.op("STRIDED_SLICE", [shape, *bounds], [], "int32", shrinkAxisMask=1))
    return found


def test_rows_of_a_computed_shape_are_known() -> None:
    """Keras' Dense on a sequence: the writer leaves rows and columns of the product open."""
    net = Net()
    x = net.input("x", [-1, 4, 3], "int8", S)
    batch, steps, channels = sizes_of(net, x, 3)
    rows = net.op("MUL", [batch, steps], [], "int32")
    flat = net.op("PACK", [rows, channels], [2], "int32", valuesCount=2)
    every = net.op("RESHAPE", [x, flat], [-1, -1], "int8", S)
    weights = np.arange(-3, 3, dtype=np.int8).reshape(2, 3)
    options = {"kind": "FullyConnectedOptions"}
    dense = net.op(
        "FULLY_CONNECTED", [every, net.constant(weights, (0.1, 0)), -1], [-1, 2], "int8", S, **options
    )
    bent = net.op("RELU", [dense], [-1, 2], "int8", S)
    back = net.op("PACK", [batch, steps, net.constant(np.array(2, np.int32))], [3], "int32", valuesCount=3)
    net.output("y", net.op("RESHAPE", [bent, back], [-1, 4, 2], "int8", S))
    program = lower(net.flatbuffer())
    shapes = {index: program.graph.tensors[index].shape for index in (every, dense, bent)}
    assert shapes == {every: (4, 3), dense: (4, 2), bent: (4, 2)}
    values = np.arange(12, dtype=np.int8).reshape(1, 4, 3)
    (found,) = reference.run(program, [values])
    real = np.maximum((values[0] - 3.0) * 0.05 @ (weights.T * 0.1), 0)
    np.testing.assert_allclose((found[0] - 3.0) * 0.05, real, atol=0.026)


def test_what_is_filled_as_often_as_the_batch_is_a_constant() -> None:
    net = Net()
    x = net.input("x", [-1, 5], "int8", S)
    batch, _ = sizes_of(net, x, 2)
    wanted = net.op("PACK", [batch, net.constant(np.array(5, np.int32))], [2], "int32", valuesCount=2)
    zeros = net.op("FILL", [wanted, net.constant(np.array(7, np.int8), S)], [-1, 5], "int8", S)
    net.output("y", net.op("ADD", [x, zeros], [-1, 5], "int8", (0.1, 3)))
    program = lower(net.flatbuffer())
    assert program.graph.tensors[zeros].data.tolist() == [[7] * 5]
    (found,) = reference.run(program, [np.full((1, 5), 13, np.int8)])
    assert found.tolist() == [[10] * 5]


@pytest.mark.parametrize("size", [-4, 1 << 30])
def test_no_file_fills_the_memory(size: int) -> None:
    net = Net()
    x = net.input("x", [-1, 5], "int8", S)
    dims = net.constant(np.array([size], np.int32))
    zeros = net.op("FILL", [dims, net.constant(np.array(7, np.int8), S)], [-1], "int8", S)
    net.output("y", net.op("ADD", [x, zeros], [-1, 5], "int8", S))
    with pytest.raises(ModelError, match="damaged"):
        lower(net.flatbuffer())


def test_a_shape_that_does_not_fit_stays_that_of_the_file() -> None:
    net = Net()
    x = net.input("x", [-1, 6], "int8", S)
    wanted = net.constant(np.array([5, 7], np.int32))
    net.output("y", net.op("RESHAPE", [x, wanted], [-1, -1], "int8", S))
    with pytest.raises(ModelError, match="shapes that do not fit"):
        lower(net.flatbuffer())
