"""Small real .tflite files of every kind that people bring, built without TensorFlow operator by operator."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_sdk import modelfile
from edge_sdk.child import Worker
from edge_sdk.contract import Channel, Contract, Input, Output, Tensor
from edge_sdk.errors import EdgeError
from edge_sdk.model import Model
from edge_sdk.modelfile import CONTRACT, GOLDEN, Golden
from edge_sdk.verify import verify

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "bool": schema.TensorType.BOOL,
    "complex64": schema.TensorType.COMPLEX64,
}
#: Scale and zero point.
Scaled = tuple[float, int]


class Net:
    """A .tflite that grows by one operator a call; each names the tensor that it writes.

    A shape may have -1 for an axis that is left open.
    """

    def __init__(self) -> None:
        self._graph, self._model = schema.SubGraphT(), schema.ModelT()
        self._graph.name, self._graph.tensors, self._graph.operators = "main", [], []
        self._model.version, self._model.buffers, self._model.operatorCodes = 3, [schema.BufferT()], []
        self._model.subgraphs = [self._graph]
        self._inputs: dict[str, int] = {}
        self._outputs: dict[str, int] = {}

    def input(
        self, name: str, shape: Sequence[int], dtype: str = "float32", scaled: Scaled | None = None
    ) -> int:
        """An input by its name in the signature; its tensor has another one."""
        self._inputs[name] = self._tensor(shape, dtype, scaled, name=f"serving_default_{name}:0")
        return self._inputs[name]

    def output(self, name: str, tensor: int) -> None:
        """Make a tensor an output."""
        self._outputs[name] = tensor

    def constant(self, values: NDArray[Any], scaled: Scaled | None = None) -> int:
        """Weights, axes, sizes."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self._tensor(values.shape, values.dtype.name, scaled, buffer=len(self._model.buffers) - 1)

    def variable(self, shape: Sequence[int]) -> int:
        """What an operator keeps from one inference to the next."""
        index = self._tensor(shape, "float32", None)
        self._graph.tensors[index].isVariable = True
        return index

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        dtype: str = "float32",
        scaled: Scaled | None = None,
        **options: Any,
    ) -> int:
        """One operator: ``op("ADD", [a, b], [-1, 3])``, with options named as in the schema's AddOptionsT."""
        op = schema.OperatorT()
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), options.pop("version", 1)
        self._model.operatorCodes.append(code)
        kind = options.pop("kind", "".join(part.capitalize() for part in name.split("_")) + "Options")
        if hasattr(schema, f"{kind}T"):
            op.builtinOptions = getattr(schema, f"{kind}T")()
            op.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            for key, value in options.items():
                setattr(op.builtinOptions, key, value)
        op.opcodeIndex, op.inputs = len(self._model.operatorCodes) - 1, list(inputs)
        op.outputs = [self._tensor(shape, dtype, scaled)]
        self._graph.operators.append(op)
        return int(op.outputs[0])

    def flatbuffer(self, *, signature: str | None = "serving_default") -> bytes:
        """The finished file; without a signature only tensors have names."""
        self._graph.inputs, self._graph.outputs = list(self._inputs.values()), list(self._outputs.values())
        if signature is not None:
            named = schema.SignatureDefT()
            named.signatureKey, named.subgraphIndex = signature, 0
            named.inputs, named.outputs = _maps(self._inputs), _maps(self._outputs)
            self._model.signatureDefs = [named]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(
        self, shape: Sequence[int], dtype: str, scaled: Scaled | None, *, name: str = "", buffer: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = name or f"t{len(self._graph.tensors)}"
        tensor.shape = [max(n, 1) for n in shape]
        tensor.shapeSignature = list(shape) if min(shape, default=0) < 0 else None
        tensor.type, tensor.buffer = _TYPES[dtype], buffer
        if scaled is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scaled[0]], [scaled[1]]
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def _maps(indices: dict[str, int]) -> list[schema.TensorMapT]:
    maps = []
    for name, index in indices.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        maps.append(entry)
    return maps


def write(
    path: Path, flatbuffer: bytes, contract: Contract | None = None, golden: Golden | None = None
) -> Path:
    """A model file, with a contract and golden vectors behind it where they are given."""
    members = {} if golden is None else {GOLDEN: golden.to_bytes()}
    if contract is not None:
        members[CONTRACT] = replace(contract, digest=modelfile.digest_of(flatbuffer)).to_json()
    path.write_bytes(modelfile.pack(flatbuffer, members) if members else flatbuffer)
    return path


def changed(flatbuffer: bytes, change: Callable[[Any], None]) -> bytes:
    """A copy in which something is another: `change` gets the schema's ModelT."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@contextlib.contextmanager
def loading() -> Iterator[Callable[..., Model]]:
    """Loads model files as `Model.load` does, and closes them; one child process verifies them all."""
    runtime = os.environ.get("EDGEML_RUNTIME", "litert")
    with contextlib.ExitStack() as opened:
        worker = opened.enter_context(Worker())

        def load(path: Path, contract: Contract | None = None) -> Model:
            with contextlib.suppress(EdgeError):  # said once more by what follows
                verify(path, runtime, contract=contract, worker=worker)
            return opened.enter_context(Model.load(path, contract=contract))

        yield load


def contract(
    channels: Sequence[str],
    window: int,
    *tensors: Tensor,
    labels: Sequence[str] = (),
    hop: int | None = None,
    layout: str = "TC",
) -> Contract:
    """At 50 Hz; a classifier where there are labels."""
    return Contract(
        name="kind",
        task="classification" if labels else "regression",
        input=Input(tuple(Channel(name) for name in channels), 50.0, window, hop or window, layout=layout),
        output=Output(tuple(labels)),
        tensors=tensors,
    )


def doubled(
    dtype: str = "float32",
    scaled: Scaled | None = None,
    shape: Sequence[int] = (-1, 3),
    *,
    named: bool = True,
) -> bytes:
    """y = x + x, of any type and shape."""
    net = Net()
    x = net.input("x", shape, dtype, scaled)
    net.output("y", net.op("ADD", [x, x], shape, dtype, scaled and (2 * scaled[0], scaled[1])))
    return net.flatbuffer(signature="serving_default" if named else None)


class TwoSensors:
    """Which of five axes, three of one sensor and two of another, is largest on average; and all their mean.

    The output with a score for each axis is not the first.
    """

    labels = ("ax", "ay", "az", "gx", "gy")

    def __init__(self, window: int = 8, *, flat: bool = False) -> None:
        self.window, self.flat = window, flat

    def flatbuffer(self) -> bytes:
        """Inputs ``accel`` and ``gyro``, outputs ``level`` [-1, 1] and ``scores`` [-1, 5]."""
        net, n = Net(), self.window
        accel = net.input("accel", [-1, n, 3])
        gyro = net.input("gyro", [-1, n * 2] if self.flat else [-1, n, 2])
        turned = gyro
        if self.flat:
            size = net.constant(np.array([-1, n, 2], np.int32))
            turned = net.op("RESHAPE", [gyro, size], [-1, n, 2])
        time = net.constant(np.array([1], np.int32))
        means = [mean(net, x, time, [-1, c]) for x, c in ((accel, 3), (turned, 2))]
        both = net.op("CONCATENATION", means, [-1, 5], axis=1)
        net.output("level", mean(net, both, time, [-1, 1], keep=True))
        net.output("scores", net.op("SOFTMAX", [both], [-1, 5], beta=1.0))
        return net.flatbuffer()

    def contract(self, *order: str) -> Contract:
        """Channels and tensors with the inputs in this order."""
        shapes = {"accel": (1, self.window, 3), "gyro": (1, self.window, 2)}
        if self.flat:
            shapes["gyro"] = (1, self.window * 2)
        names = {"accel": self.labels[:3], "gyro": self.labels[3:]}
        return contract(
            [channel for name in order for channel in names[name]],
            self.window,
            *(Tensor("input", name, "float32", shapes[name]) for name in order),
            Tensor("output", "level", "float32", (1, 1)),
            Tensor("output", "scores", "float32", (1, 5)),
            labels=self.labels,
        )

    def expected(self, accel: NDArray[Any], gyro: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """What both outputs must say to one window."""
        means = np.concatenate([accel.mean(axis=0), gyro.reshape(self.window, 2).mean(axis=0)])
        powers = np.exp(means - means.max())
        return {"level": means.mean(keepdims=True), "scores": powers / powers.sum()}


class MovingAverage:
    """The mean of the newest sample and the `memory` ones before it, which are handed in as ``past``.

    Args:
        memory: samples that are remembered.
        scaled: of an int8 model; its state comes out in steps twice as large as those that go in.
    """

    channels = ("u", "v")

    def __init__(self, memory: int = 3, scaled: Scaled | None = None) -> None:
        self.memory, self.scaled = memory, scaled

    def flatbuffer(self) -> bytes:
        """Inputs ``past`` and ``sample``, outputs ``next`` and ``average``."""
        net, m = Net(), self.memory
        kind: dict[str, Any] = {"dtype": "int8", "scaled": self.scaled} if self.scaled else {}
        past, sample = net.input("past", [-1, m, 2], **kind), net.input("sample", [-1, 1, 2], **kind)
        every = net.op("CONCATENATION", [past, sample], [-1, m + 1, 2], axis=1, **kind)
        begin, size = (net.constant(np.array(v, np.int32)) for v in ([0, 1, 0], [-1, m, 2]))
        following = net.op("SLICE", [every, begin, size], [-1, m, 2], **kind)
        if self.scaled:
            coarse = (2 * self.scaled[0], self.scaled[1])
            following = net.op("QUANTIZE", [following], [-1, m, 2], "int8", coarse)
        net.output("next", following)
        net.output("average", mean(net, every, net.constant(np.array([1], np.int32)), [-1, 2], **kind))
        return net.flatbuffer()

    def contract(self) -> Contract:
        """A sample a window; ``next`` feeds ``past``."""
        dtype, m = "int8" if self.scaled else "float32", self.memory
        return contract(
            self.channels,
            1,
            Tensor("input", "past", dtype, (1, m, 2), state="next"),
            Tensor("input", "sample", dtype, (1, 1, 2)),
            Tensor("output", "next", dtype, (1, m, 2)),
            Tensor("output", "average", dtype, (1, 2)),
        )

    def expected(self, samples: NDArray[Any]) -> NDArray[Any]:
        """float [n, 2]: the average after each sample of a stream that begins with zeros."""
        padded = np.concatenate([np.zeros((self.memory, 2), samples.dtype), samples])
        return np.stack([padded[i : i + self.memory + 1].mean(axis=0) for i in range(len(samples))])


def open_time() -> bytes:
    """The mean along a time axis of any length: float32 [-1, -1, 3] to [-1, 3]."""
    net = Net()
    x = net.input("x", [-1, -1, 3])
    net.output("y", mean(net, x, net.constant(np.array([1], np.int32)), [-1, 3]))
    return net.flatbuffer()


def open_convolution(taps: int = 5) -> bytes:
    """The sum of `taps` samples of three channels, over time: float32 [-1, -1, 3] to [-1, -1, 1]."""
    net = Net()
    x = net.input("x", [-1, -1, 1, 3])
    weights = net.constant(np.ones((1, taps, 1, 3), np.float32))
    bias = net.constant(np.zeros(1, np.float32))
    options = {"strideW": 1, "strideH": 1, "padding": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    net.output("y", net.op("CONV_2D", [x, weights, bias], [-1, -1, 1, 1], kind="Conv2DOptions", **options))
    return net.flatbuffer()


def scalar() -> bytes:
    """The mean of everything, without any axis: float32 [1, 3] to []."""
    net = Net()
    x = net.input("x", [1, 3])
    net.output("y", mean(net, x, net.constant(np.array([0, 1], np.int32)), []))
    return net.flatbuffer()


def mixing() -> bytes:
    """Each window less the mean of the batch: what one gives depends on who else is in it."""
    net = Net()
    x = net.input("x", [-1, 3])
    middle = mean(net, x, net.constant(np.array([0], np.int32)), [1, 3], keep=True)
    net.output("y", net.op("SUB", [x, middle], [-1, 3]))
    return net.flatbuffer()


def recurrent() -> bytes:
    """hidden = x + hidden, kept in a variable of the interpreter: float32 [1, 2] to [1, 2]."""
    net = Net()
    x = net.input("x", [1, 2])
    weights = [net.constant(np.eye(2, dtype=np.float32)) for _ in range(2)]
    bias, hidden = net.constant(np.zeros(2, np.float32)), net.variable([1, 2])
    net.output("y", net.op("RNN", [x, *weights, bias, hidden], [1, 2], kind="RNNOptions"))
    return net.flatbuffer()


def embedded() -> bytes:
    """A row of a table for each of four words: int32 [-1, 4] to float32 [-1, 4, 2]."""
    net = Net()
    words = net.input("words", [-1, 4], "int32")
    table = net.constant(np.arange(20, dtype=np.float32).reshape(10, 2))
    net.output("rows", net.op("GATHER", [table, words], [-1, 4, 2], axis=0))
    return net.flatbuffer()


def mean(net: Net, x: int, axes: int, shape: Sequence[int], *, keep: bool = False, **kind: Any) -> int:
    """The mean along some axes."""
    return net.op("MEAN", [x, axes], shape, kind.get("dtype", "float32"), kind.get("scaled"),
                  kind="ReducerOptions", keepDims=keep)  # fmt: skip
