"""The models of `tests.onnx_models` with last layers that know something; inside the onnx environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.foreign import Arrays, Task, solve, task
from tests.zoo.training import Evidence


def onnx_mlp(folder: str) -> str:
    return _build("mlp", folder)


def onnx_sensor(folder: str) -> str:
    return _build("sensor", folder)


def onnx_recurrent(folder: str) -> str:
    return _build("recurrent", folder)


def onnx_image(folder: str) -> str:
    return _build("image", folder)


def onnx_flattened(folder: str) -> str:
    return _build("flattened", folder)


def onnx_depthwise(folder: str) -> str:
    return _build("depthwise", folder)


def onnx_several(folder: str) -> str:
    return _build("several", folder)


def run(model: str, data: str, target: str) -> None:
    """As `tests.zoo.original.run`."""
    import onnx

    work = task(Path(model).stem.removeprefix("onnx_"))
    outputs = [work.last(array) for array in _values(onnx.load(model), None, work, work.test_inputs)]
    np.savez(target, **{f"output_{n}": array for n, array in enumerate(outputs)})


def _build(name: str, folder: str) -> str:
    import onnx

    from tests import onnx_models

    path, work = str(Path(folder) / f"onnx_{name}.onnx"), task(name)
    onnx_models.build(name, path)
    model = onnx.load(path)
    for output, truths in work.truths.items():
        _solve(model, output, truths, work)
    onnx.save(model, path)
    order = [value.name for value in model.graph.output]
    truths_in_order = [work.test_truths[output] for output in order]
    Evidence(work.test_inputs, truths_in_order, work.labels, work.groups).write(folder, f"onnx_{name}")
    return path


def _solve(model: Any, output: str, truths: Any, work: Task) -> None:
    """Replace the weights of the linear layer or 1x1 convolution that gives an output."""
    from onnx import numpy_helper

    node = next(node for node in model.graph.node if output in node.output)
    if node.op_type in ("Softmax", "Sigmoid"):
        node = next(before for before in model.graph.node if node.input[0] in before.output)
    features = work.last(_values(model, node.input[0], work, work.inputs)[0])
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    shape = tuple(stored[node.input[1]].dims)
    places = truths if truths.ndim == 2 and truths.shape[1] == shape[0] else truths.reshape(-1)
    solved = solve(features.reshape(-1, shape[1]), places, shape[0], bias=len(node.input) > 2)
    for name, values in zip(node.input[1:], solved, strict=False):
        dims = tuple(stored[name].dims)
        stored[name].CopyFrom(numpy_helper.from_array(values.reshape(dims), name))


def _values(model: Any, tensor: str | None, work: Task, inputs: Arrays) -> list[Any]:
    """The outputs, or any tensor in between, by onnxruntime."""
    import onnx
    import onnxruntime

    looked_at = onnx.ModelProto()
    looked_at.CopyFrom(model)
    if tensor is not None:
        looked_at.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = onnxruntime.InferenceSession(looked_at.SerializeToString(), providers=["CPUExecutionProvider"])
    values: list[Any] = session.run(None if tensor is None else [tensor], work.given(inputs))
    return values
