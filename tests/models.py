"""Small real .tflite files, built without TensorFlow, so that the device part is tested alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_sdk import modelfile
from edge_sdk.contract import Channel, Contract, Input, Output
from edge_sdk.contract import Tensor as TensorFacts
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS, Golden

LABELS_XYZ = ("x", "y", "z")


@dataclass(frozen=True)
class Linear:
    """scores = softmax(reshape(window) @ weights.T): three labels, one for each channel that is largest."""

    window: int = 8
    channels: int = 3
    custom_op: str | None = None

    @property
    def weights(self) -> NDArray[np.float32]:
        """float32 [channels, window * channels]: each score is the sum of one channel."""
        return np.tile(np.eye(self.channels, dtype=np.float32), (1, self.window))

    def expected(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [channels], what the model must say."""
        logits = window.reshape(-1) @ self.weights.T
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()


def flatbuffer(spec: Linear | None = None) -> bytes:
    """The model of `spec` as a .tflite flatbuffer with a dynamic batch and a signature."""
    spec = spec or Linear()
    features = spec.window * spec.channels
    model = schema.ModelT()
    model.version, model.description = 3, "a linear classifier for tests"
    model.buffers = [_buffer(), _buffer(spec.weights), _buffer(np.array([-1, features], np.int32))]
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    dense = schema.FullyConnectedOptionsT()
    last = (
        _code(schema.BuiltinOperator.CUSTOM, spec.custom_op)
        if spec.custom_op
        else _code(schema.BuiltinOperator.SOFTMAX)
    )
    model.operatorCodes = [
        _code(schema.BuiltinOperator.RESHAPE),
        _code(schema.BuiltinOperator.FULLY_CONNECTED),
        last,
    ]
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.tensors = [
        _tensor("window", [1, spec.window, spec.channels], 0, dynamic=True),
        _tensor("weights", [spec.channels, features], 1),
        _tensor("shape", [2], 2, schema.TensorType.INT32),
        _tensor("flat", [1, features], 0, dynamic=True),
        _tensor("logits", [1, spec.channels], 0, dynamic=True),
        _tensor("scores", [1, spec.channels], 0, dynamic=True),
    ]
    graph.inputs, graph.outputs = [0], [5]
    graph.operators = [
        _op(0, [0, 2], [3], None, 0),
        _op(1, [3, 1, -1], [4], dense, schema.BuiltinOptions.FullyConnectedOptions),
        _op(
            2,
            [4],
            [5],
            None if spec.custom_op else softmax,
            0 if spec.custom_op else schema.BuiltinOptions.SoftmaxOptions,
        ),
    ]
    model.subgraphs = [graph]
    model.signatureDefs = [_signature("serving_default", {"window": 0}, {"scores": 5})]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def contract(spec: Linear | None = None, **changes: Any) -> Contract:
    """A contract that fits `flatbuffer(spec)`, at 50 Hz with half-overlapping windows."""
    spec = spec or Linear()
    names = ("ax", "ay", "az", "wx", "wy", "wz")[: spec.channels]
    facts = Contract(
        name="linear",
        task="classification",
        input=Input(tuple(Channel(n, "g") for n in names), 50.0, spec.window, max(spec.window // 2, 1)),
        output=Output(LABELS_XYZ[: spec.channels]),
        tensors=(
            TensorFacts("input", "window", "float32", (1, spec.window, spec.channels)),
            TensorFacts("output", "scores", "float32", (1, spec.channels)),
        ),
    )
    return replace(facts, **changes)


def packed(spec: Linear | None = None, **changes: Any) -> bytes:
    """The whole file: flatbuffer, contract, labels and golden vectors."""
    spec = spec or Linear()
    raw = flatbuffer(spec)
    facts = contract(spec, **{"digest": modelfile.digest_of(raw), **changes})
    inputs = np.random.default_rng(5).normal(size=(4, spec.window, spec.channels)).astype(np.float32)
    golden = Golden((inputs,), (np.stack([spec.expected(w) for w in inputs]).astype(np.float32),), (1e-4,))
    members = {
        CONTRACT: facts.to_json(),
        GOLDEN: golden.to_bytes(),
        LABELS: "".join(f"{label}\n" for label in facts.output.labels).encode(),
    }
    return modelfile.pack(raw, members)


def write_model(path: Path, spec: Linear | None = None, **changes: Any) -> Path:
    """`packed`, written to `path`."""
    path.write_bytes(packed(spec, **changes))
    return path


def amplified(name_bytes: int, count: int) -> bytes:
    """A hostile file: its `count` tensors are all one, which has a name of `name_bytes`."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer(), 0)
    graph = model.subgraphs[0]
    graph.tensors[-1].name = "n" * name_bytes
    tensors, last = len(graph.tensors), len(graph.tensors) - 1
    graph.inputs = np.full(count, 0x7A7A7A7A, np.int32)  # the room for the long vector of tensors
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    data = np.frombuffer(bytes(builder.Output()), "<u4").copy()
    old = int(np.flatnonzero((data[:-1] == tensors) & (data[1:] < 4 * len(data)))[0])
    table = 4 * (old + 1 + last) + int(data[old + 1 + last])
    new = int(np.flatnonzero(data == 0x7A7A7A7A)[0])
    places = 4 * np.arange(len(data))
    (field,) = np.flatnonzero((places + data == 4 * old) & (places < 4 * old))
    data[field] = 4 * (new - 1) - 4 * field
    data[new : new + count] = table - 4 * np.arange(new, new + count)
    return data.tobytes()


def _buffer(values: NDArray[Any] | None = None) -> schema.BufferT:
    buffer = schema.BufferT()
    if values is not None:
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    return buffer


def _code(builtin: int, custom: str | None = None) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, 127)
    code.version = 1
    code.customCode = custom
    return code


def _tensor(
    name: str, shape: list[int], buffer: int, kind: int = schema.TensorType.FLOAT32, *, dynamic: bool = False
) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = name, shape, buffer, kind
    tensor.shapeSignature = [-1, *shape[1:]] if dynamic else None
    return tensor


def _op(code: int, inputs: list[int], outputs: list[int], options: Any, kind: int) -> schema.OperatorT:
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = code, inputs, outputs
    op.builtinOptions, op.builtinOptionsType = options, kind
    return op


def _signature(name: str, inputs: dict[str, int], outputs: dict[str, int]) -> schema.SignatureDefT:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = name, 0
    signature.inputs, signature.outputs = _maps(inputs), _maps(outputs)
    return signature


def _maps(indices: dict[str, int]) -> list[schema.TensorMapT]:
    maps = []
    for name, index in indices.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        maps.append(entry)
    return maps
