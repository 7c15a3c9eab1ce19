"""What ``host:?runtime=c`` refuses, before it compiles anything."""

import pytest

from edge_sdk.errors import ConfigError, ModelError
from firmware_bridge.c_runtime import Runtime
from tests.kinds import Net
from tests.models import flatbuffer


def test_refuses_a_float_model_and_says_how_to_convert_it():
    with pytest.raises(ModelError, match="cannot become a C library: .*convert it with --recipe int8"):
        Runtime(flatbuffer())


def test_refuses_threads():
    with pytest.raises(ConfigError, match="runtime c: threads: expected 1"):
        Runtime(flatbuffer(), threads=2)


def test_refuses_a_length_that_is_open():
    net = Net()
    kind = {"dtype": "int8", "scaled": (0.1, 0)}
    x = net.input("x", [1, 1, 3], **kind)
    net._graph.tensors[x].shapeSignature = [1, -1, 3]
    net.output("y", net.op("RELU", [x], [1, 1, 3], **kind))
    with pytest.raises(ModelError, match=r"fixed, but for the batch, found .*x.* \[1, -1, 3\]; .*--shape"):
        Runtime(net.flatbuffer())


def test_refuses_what_is_no_model():
    with pytest.raises(ModelError, match="not a TFLite model"):
        Runtime(b"nothing of the kind, but long enough")
