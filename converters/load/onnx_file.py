"""Reads an .onnx: its inputs and their layout, open sizes, weights in other files. Nothing is executed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.load import check_size
from converters.load.ports import Tensor
from converters.load.shapes import Shape, settle
from edge_sdk.errors import ModelError, one_line
from edge_sdk.modelfile import sniff

#: Operators that say of an input that its second axis is its channels …
_CHANNELS_FIRST = {
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "BatchNormalization", "InstanceNormalization",
    "GroupNormalization", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "LRN",
    "DepthToSpace", "SpaceToDepth", "Upsample", "GridSample",
}  # fmt: skip
#: … and those that say nothing, after which one looks further.
_NEUTRAL = {
    "Identity", "Cast", "Dropout", "Pad", "Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "Abs", "Neg",
    "Sqrt", "Log", "Exp", "Add", "Sub", "Mul", "Div", "Pow", "Resize", "QuantizeLinear", "DequantizeLinear",
}  # fmt: skip
_RECURRENT = {"LSTM", "GRU", "RNN"}


def read(path: str) -> Any:
    """The model (`onnx.ModelProto`), its weights included.

    Raises:
        ModelError: damaged, without inputs, with NaN among its weights, or its weights lie elsewhere.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        with Path(path).open("rb") as file:
            found = sniff(file.read(64))
        raise ModelError(
            f"{path} is not an ONNX model, or is damaged", found=found, remedy="copy or export it again"
        ) from error
    if not proto.graph.node or not proto.graph.output:
        raise ModelError(f"{path}: no graph in it", expected="an ONNX model", remedy="export it again")
    _take_in_weights(proto, Path(path))
    _check_weights(proto, path)
    return proto


def inputs_of(proto: Any, shapes: Mapping[str, Sequence[int]] | None) -> list[Tensor]:
    """The model's inputs at a batch of one.

    Args:
        proto: the model.
        shapes: sizes by the name of the input, the batch included.

    Raises:
        ModelError: a dimension is open and was not given, or what was given does not fit.
    """
    constants = {each.name for each in proto.graph.initializer}
    given = [each for each in proto.graph.input if each.name not in constants]
    if not given:
        raise ModelError("the model has no inputs")
    found = settle({each.name: _sizes(each) for each in given}, shapes, 1)
    return [_tensor(proto, each, (1, *(size or 1 for size in found[each.name][1:]))) for each in given]


def simplified(proto: Any, inputs: Sequence[Tensor]) -> Any:
    """The model with every size known and constants folded, which is what onnx2tf converts best."""
    import onnx
    import onnxsim

    static = onnx.ModelProto()
    static.CopyFrom(proto)
    known = {each.name: each.shape for each in inputs}
    for value in static.graph.input:
        if value.name in known:
            _set_shape(value, known[value.name])
    _read_last_steps(static)
    # Sizes that were written down for another batch would contradict the ones that follow from the inputs.
    del static.graph.value_info[:]
    for value in static.graph.output:
        value.type.tensor_type.ClearField("shape")
    with contextlib.suppress(Exception):  # it only helps; what is really wrong shows in the conversion
        static, _ = onnxsim.simplify(static)
    try:
        return onnx.shape_inference.infer_shapes(static, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx's InferenceError and ValueError alike
        raise ModelError(
            "the shapes in the model contradict each other",
            found=one_line(error)[:300],
            remedy="export it again, with a dynamic batch axis",
        ) from error


def parameters(proto: Any) -> int:
    """How many floating-point weights it has."""
    import onnx

    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    return sum(int(np.prod(each.dims)) for each in _tensors(proto) if each.data_type in floats)


def _sizes(value: Any) -> Shape:
    """The shape of an input, None for what is open."""
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"input {value.name} is not a tensor", expected="tensors only")
    if not value.type.tensor_type.HasField("shape"):
        raise ModelError(f"input {value.name}: the model does not say its shape", remedy="export it again")
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
    )


def _tensor(proto: Any, value: Any, shape: tuple[int, ...]) -> Tensor:
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    if dtype.kind not in "fiub":
        raise ModelError(f"input {value.name}", expected="numbers", found=dtype.name)
    return Tensor(value.name, shape, dtype.name, kept=not _is_channels_first(proto, value.name, len(shape)))


def _is_channels_first(proto: Any, name: str, rank: int) -> bool:
    """Whether the first operator that has an opinion sees the second axis as channels."""
    if rank < 3:
        return False
    pending, seen = [name], {name}
    while pending:
        tensor = pending.pop(0)
        for node in proto.graph.node:
            if tensor in node.input[:1] and node.op_type in _CHANNELS_FIRST:
                return True
            if tensor in node.input and node.op_type in _NEUTRAL and node.output[0] not in seen:
                seen.add(node.output[0])
                pending.append(node.output[0])
    return False


def _read_last_steps(proto: Any) -> None:
    """Let what a recurrent layer ends with be read from its steps.

    onnx2tf reads it from the layer's state instead, a variable that LiteRT has not written by then: zeros.
    """
    for at, node in reversed(list(enumerate(proto.graph.node))):
        if node.op_type not in _RECURRENT or len(node.output) < 2 or not node.output[1]:
            continue
        if len(node.input) > 4 and node.input[4]:
            continue  # windows of unlike lengths end at different steps: the comparison tells how it went
        last, node.output[1] = node.output[1], ""
        node.output[0] = node.output[0] or f"{last}_steps"
        direction = {each.name: each.s for each in node.attribute}.get("direction", b"forward")
        added = _ends(proto, node.output[0], last, direction)
        for each in reversed(added):
            proto.graph.node.insert(at + 1, each)


def _ends(proto: Any, steps: str, last: str, direction: bytes) -> list[Any]:
    """Operators that take the end of each direction out of steps [time, direction, batch, features]."""
    from onnx import helper, numpy_helper

    def taken(source: str, index: int | list[int], target: str) -> Any:
        proto.graph.initializer.append(numpy_helper.from_array(np.array(index, np.int64), f"{target}_index"))
        return helper.make_node("Gather", [source, f"{target}_index"], [target], axis=0)

    if direction != b"bidirectional":
        return [taken(steps, 0 if direction == b"reverse" else -1, last)]
    return [
        taken(steps, -1, f"{last}_late"),
        taken(steps, 0, f"{last}_early"),
        taken(f"{last}_late", [0], f"{last}_forward"),
        taken(f"{last}_early", [1], f"{last}_backward"),
        helper.make_node("Concat", [f"{last}_forward", f"{last}_backward"], [last], axis=0),
    ]


def _set_shape(value: Any, shape: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape
    dims.ClearField("dim")
    for size in shape:
        dims.dim.add().dim_value = size


def _tensors(proto: Any) -> Iterator[Any]:
    """Every constant, those inside branches and loops and functions included."""
    graphs = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            graphs.extend((attribute.g, *attribute.graphs))


def _take_in_weights(proto: Any, path: Path) -> None:
    """Read the weights that lie in files beside the model; only files in its folder are opened."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_tensor

    folder = path.resolve().parent
    for tensor in _tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((each.value for each in tensor.external_data if each.key == "location"), "")
        file = (folder / location).resolve()
        if not file.is_relative_to(folder) or not location:
            raise ModelError(
                f"{path}: the weights of {tensor.name} lie outside the model's folder",
                expected=f"a file in {folder}",
                found=location,
            )
        if not file.is_file():
            raise ModelError(
                f"{path}: the file {location} with the weights of {tensor.name} is not there",
                remedy="copy it beside the model",
            )
        check_size(location, file.stat().st_size)
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # onnx raises its own checker's errors, OSError and ValueError here
            raise ModelError(
                f"{path}: the weights in {location} are damaged", found=one_line(error)
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _check_weights(proto: Any, path: str) -> None:
    import onnx

    for tensor in _tensors(proto):
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        try:
            values = onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # a size that does not fit its data: several exceptions
            raise ModelError(
                f"{path}: the weights of {tensor.name} are damaged", found=one_line(error)[:200]
            ) from error
        if not np.isfinite(values).all():
            raise ModelError(
                f"{path}: {tensor.name} has NaN or infinity among its values",
                remedy="look at the training: it diverged",
            )
