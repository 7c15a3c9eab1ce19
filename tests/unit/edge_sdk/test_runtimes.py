"""The engines themselves: names of the signature, shapes that are settled later, batches, and an end."""

import os

import numpy as np
import pytest

from edge_sdk import ModelError, registry
from edge_sdk.contract import Tensor
from edge_sdk.engine import open_engine, settle
from edge_sdk.runtimes import Port
from tests import kinds
from tests.kinds import TwoSensors, changed, contract, doubled

CHOSEN = os.environ.get("EDGEML_RUNTIME", "litert")
XYZ = contract(["x", "y", "z"], 20)


@pytest.fixture(scope="module")
def engine():
    return registry.find("runtimes", CHOSEN)


def names(runtime):
    return [port.name for port in runtime.inputs], [port.name for port in runtime.outputs]


def test_ports_are_named_as_in_the_signature(engine):
    runtime = engine(TwoSensors().flatbuffer())
    assert names(runtime) == (["accel", "gyro"], ["level", "scores"])
    assert {port.signature for port in (*runtime.inputs, *runtime.outputs)} == {"serving_default"}
    assert [port.open for port in runtime.inputs] == [(0,), (0,)]
    for _ in range(2):  # no signature runner lives, which would forbid it
        assert [o.shape for o in runtime.invoke([np.ones((1, 8, 3), "f"), np.ones((1, 8, 2), "f")])] == [
            (1, 1),
            (1, 5),
        ]


def test_a_signature_of_another_graph_does_not_count(engine):
    def other(model):
        model.signatureDefs[0].outputs[0].tensorIndex = 0  # no output of the main graph

    assert names(engine(changed(doubled(), other))) == (["serving_default_x:0"], ["t1"])


def test_names_that_are_alike_are_numbered(engine):
    def alike(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = "same"
        model.signatureDefs = []

    assert names(engine(changed(TwoSensors().flatbuffer(), alike))) == (
        ["same", "same_1"],
        ["same", "same_1"],
    )


def test_an_input_may_stand_for_several_in_the_signature(engine):
    """An output that is an input: both names are of one tensor."""
    net = kinds.Net()
    x = net.input("x", [-1, 3])
    net.output("same", x)
    net.output("twice", net.op("ADD", [x, x], [-1, 3]))
    assert names(engine(net.flatbuffer())) == (["x"], ["same", "twice"])


def test_an_engine_for_several_windows(engine):
    alone = engine(TwoSensors().flatbuffer())
    together = alone.batched(5)
    assert [port.shape for port in (*together.inputs, *together.outputs)] == [
        (5, 8, 3),
        (5, 8, 2),
        (5, 1),
        (5, 5),
    ]
    rng = np.random.default_rng(2)
    given = [rng.normal(size=(5, 8, c)).astype(np.float32) for c in (3, 2)]
    said = together.invoke(given)
    for i in range(5):
        for one, all_of_them in zip(alone.invoke([a[i : i + 1] for a in given]), said, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[i])
    together.close()
    alone.invoke([a[:1] for a in given])
    with pytest.raises(ModelError, match=f"{CHOSEN} refuses the model"):
        engine(RESHAPES).batched(4)


def reshapes():
    net = kinds.Net()
    x = net.input("x", [-1, 3])
    one = net.constant(np.array([1, 3], np.int32))
    net.output("y", net.op("RESHAPE", [x, one], [1, 3]))
    return net.flatbuffer()


RESHAPES = reshapes()


def test_open_lengths_wait_to_be_settled(engine):
    runtime = engine(kinds.open_convolution())
    assert (runtime.inputs[0].shape, runtime.inputs[0].open, runtime.outputs) == ((1, 1, 1, 3), (0, 1), ())
    runtime.settle([(1, 9, 1, 3)])
    assert (runtime.inputs[0].shape, runtime.outputs[0].shape) == ((1, 9, 1, 3), (1, 5, 1, 1))
    assert runtime.batched(4).outputs[0].shape == (4, 5, 1, 1)
    settled = open_engine(CHOSEN, kinds.open_convolution(), 1, XYZ)
    assert settled.invoke([np.ones((1, 20, 1, 3), np.float32)])[0].shape == (1, 16, 1, 1)


@pytest.mark.parametrize(
    ("shape", "open_axes", "facts", "expected"),
    [
        ((1, 1, 3), (0, 1), XYZ, (1, 20, 3)),
        ((1, 1, 3), (1,), XYZ, (1, 20, 3)),
        ((1, 20, 1), (0, 2), XYZ, (1, 20, 3)),
        ((1, 1), (0, 1), XYZ, (1, 60)),
        ((1, 1, 3, 1), (0, 1), XYZ, (1, 20, 3, 1)),
        ((1, 1, 1), (0, 1, 2), XYZ, (1, 20, 3)),
        ((1, 1, 7), (0, 1), XYZ, (1, 1, 7)),  # not of that window: the runtime or the contract will refuse
        ((1, 1, 3), (0, 1), None, (1, 1, 3)),
        ((1, 8, 3), (0,), XYZ, (1, 8, 3)),
        (
            (1, 1, 1, 3),
            (0, 1, 2),
            contract("rgb", 1, Tensor("input", "x", "uint8", (1, 24, 32, 3)), layout="HWC"),
            (1, 24, 32, 3),
        ),
    ],
)
def test_what_the_contract_says_settles_a_shape(shape, open_axes, facts, expected):
    port = Port("x", shape, "float32", open_axes=open_axes)
    assert settle([port], facts) == [expected]


def test_of_several_inputs_the_open_lengths_are_the_window():
    ports = [Port(name, (1, 1, c), "float32", open_axes=(0, 1)) for name, c in (("a", 1), ("b", 2), ("s", 3))]
    facts = contract(["x", "y", "z"], 20, Tensor("input", "s", "float32", (1, 6, 3), state="t"))
    assert settle(ports, facts) == [(1, 20, 1), (1, 20, 2), (1, 6, 3)]


def test_what_an_operator_remembers_is_forgotten(engine):
    runtime = engine(kinds.recurrent())
    x = np.array([[1, 2]], np.float32)
    assert [runtime.invoke([x])[0].tolist() for _ in range(3)] == [[[1, 2]]] * 3


def test_a_closed_engine_holds_nothing(engine):
    runtime = engine(doubled())
    runtime.close()
    with pytest.raises(AttributeError):
        runtime.invoke([np.ones((1, 3), np.float32)])
