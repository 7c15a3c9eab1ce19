"""Real ONNX models, built with the onnx package inside the environment of the ONNX loader.

Called through `edge_sdk.child` with that environment's interpreter: `build(name, path)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = list[Any]


class _Graph:
    """Collects nodes and weights; every call of an operator gives the name of its output."""

    def __init__(self, seed: int = 3) -> None:
        import onnx

        self._onnx = onnx
        self._rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def normal(self, *shape: int, scale: float | None = None) -> str:
        fan_in = max(int(np.prod(shape[1:])), 1)
        scale = scale or fan_in**-0.5
        return self.constant((self._rng.normal(size=shape) * scale).astype(np.float32))

    def conv(self, x: str, channels: tuple[int, int], kernel: tuple[int, ...], **attributes: Any) -> str:
        """A convolution, normalized: what every exported network is made of."""
        given, made = channels
        group = attributes.get("group", 1)
        x = self("Conv", x, self.normal(made, given // group, *kernel), kernel_shape=kernel, **attributes)
        positive = self.constant(self._rng.uniform(0.5, 1.5, made).astype(np.float32))
        shift, mean = (self.normal(made, scale=0.1) for _ in range(2))
        variance = self.constant(self._rng.uniform(0.5, 1.5, made).astype(np.float32))
        return self("BatchNormalization", x, positive, shift, mean, variance)

    def save(self, path: str, inputs: dict[str, Shape], outputs: dict[str, Shape], **kinds: int) -> None:
        helper, floats = self._onnx.helper, self._onnx.TensorProto.FLOAT
        made = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info(n, kinds.get(n, floats), s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, kinds.get(n, floats), s) for n, s in outputs.items()],
            self.weights,
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        self._onnx.save(model, path)


def image(path: str, batch: Any = "N", size: Any = 16) -> None:
    """A residual network on an image [N, 3, 16, 16]."""
    g = _Graph()
    x = g("Relu", g.conv("image", (3, 8), (3, 3), pads=[1, 1, 1, 1], strides=[2, 2]))
    y = g("Relu", g.conv(x, (8, 8), (3, 3), pads=[1, 1, 1, 1]))
    y = g.conv(y, (8, 8), (3, 3), pads=[1, 1, 1, 1])
    x = g("MaxPool", g("Relu", g("Add", x, y)), kernel_shape=[2, 2], strides=[2, 2])
    x = g("Flatten", g("GlobalAveragePool", x), axis=1)
    x = g("Gemm", x, g.normal(5, 8), g.normal(5, scale=0.1), transB=1)
    g("Softmax", x, output="scores", axis=1)
    g.save(path, {"image": [batch, 3, size, size]}, {"scores": [batch, 5]})


def depthwise(path: str) -> None:
    """A depthwise-separable network whose output is an image again."""
    g = _Graph()
    x = "image"
    x = g("Clip", g.conv(x, (1, 8), (3, 3), pads=[1, 1, 1, 1]), *_limits(g))
    for _ in range(2):
        x = g("Clip", g.conv(x, (8, 8), (3, 3), pads=[1, 1, 1, 1], group=8), *_limits(g))
        x = g("Clip", g.conv(x, (8, 8), (1, 1)), *_limits(g))
    g("Conv", x, g.normal(2, 8, 1, 1), output="mask", kernel_shape=[1, 1])
    g.save(path, {"image": ["N", 1, 12, 10]}, {"mask": ["N", 2, 12, 10]})


def _limits(g: _Graph) -> tuple[str, str]:
    return g.constant(np.array(0, np.float32)), g.constant(np.array(6, np.float32))


def sensor(path: str) -> None:
    """Conv1D on a window [N, C, L]."""
    g = _Graph()
    x = g("Relu", g.conv("window", (6, 8), (5,), pads=[2, 2], strides=[2]))
    x = g("Relu", g.conv(x, (8, 12), (3,), pads=[2, 2], dilations=[2]))
    x = g("MaxPool", x, kernel_shape=[2], strides=[2])
    x = g("Flatten", g("GlobalAveragePool", x), axis=1)
    g("Gemm", x, g.normal(4, 12), g.normal(4, scale=0.1), transB=1, output="logits")
    g.save(path, {"window": ["N", 6, 40]}, {"logits": ["N", 4]})


def flattened(path: str) -> None:
    """An image network that flattens its features: the order of the weights depends on the layout."""
    g = _Graph()
    x = g("Relu", g.conv("image", (2, 6), (3, 3), pads=[1, 1, 1, 1], strides=[2, 2]))
    x = g("Flatten", x, axis=1)
    g("Gemm", x, g.normal(3, 6 * 4 * 5), g.normal(3, scale=0.1), transB=1, output="logits")
    g.save(path, {"image": ["N", 2, 8, 10]}, {"logits": ["N", 3]})


def mlp(path: str) -> None:
    """Three dense layers."""
    g = _Graph()
    x = g("Relu", g("Gemm", "features", g.normal(16, 10), g.normal(16), transB=1))
    x = g("Tanh", g("MatMul", x, g.normal(16, 16)))
    g("Sigmoid", g("Gemm", x, g.normal(3, 16), g.normal(3), transB=1), output="scores")
    g.save(path, {"features": ["N", 10]}, {"scores": ["N", 3]})


def sequence(path: str) -> None:
    """Dense layers along time on [N, T, F]: a rank-3 input that is the device's layout already."""
    g = _Graph()
    x = g("Relu", g("Add", g("MatMul", "steps", g.normal(5, 8)), g.normal(8, scale=0.1)))
    x = g("MatMul", x, g.normal(8, 4))
    g("ReduceMean", x, axes=[1], keepdims=0, output="logits")
    g.save(path, {"steps": ["N", 12, 5]}, {"logits": ["N", 4]})


def several(path: str) -> None:
    """Two inputs of unlike layouts, three outputs, two of the same shape."""
    g = _Graph()
    x = g("Relu", g.conv("image", (3, 8), (3, 3), pads=[1, 1, 1, 1]))
    g("Conv", x, g.normal(2, 8, 1, 1), output="heat", kernel_shape=[1, 1])
    pooled = g("Flatten", g("GlobalAveragePool", x), axis=1)
    both = g("Concat", pooled, g("Relu", g("Gemm", "numbers", g.normal(6, 4), transB=1)), axis=1)
    g("Gemm", both, g.normal(3, 14), g.normal(3, scale=0.1), transB=1, output="zone")
    g("Sigmoid", g("Gemm", both, g.normal(3, 14), g.normal(3, scale=0.1), transB=1), output="alarm")
    g.save(
        path,
        {"numbers": ["N", 4], "image": ["N", 3, 8, 8]},
        {"zone": ["N", 3], "heat": ["N", 2, 8, 8], "alarm": ["N", 3]},
    )


def square(path: str) -> None:
    """An image whose layout its shape does not tell: [N, 4, 4, 4]."""
    g = _Graph()
    x = g("Relu", g.conv("image", (4, 4), (3, 3), pads=[1, 1, 1, 1]))
    g("Conv", x, g.normal(4, 4, 1, 1), output="features", kernel_shape=[1, 1])
    g.save(path, {"image": ["N", 4, 4, 4]}, {"features": ["N", 4, 4, 4]})


def open_size(path: str) -> None:
    """Height and width are left open."""
    g = _Graph()
    x = g("Relu", g.conv("image", (3, 4), (3, 3), pads=[1, 1, 1, 1]))
    x = g("Flatten", g("GlobalAveragePool", x), axis=1)
    g("Gemm", x, g.normal(2, 4), transB=1, output="logits")
    g.save(path, {"image": ["N", 3, "height", "width"]}, {"logits": ["N", 2]})


def recurrent(path: str, operator: str = "LSTM", direction: str = "forward") -> None:
    """A recurrent layer over [N, T, F], of which the last step is used."""
    import onnx

    g = _Graph()
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator] * 8
    ways = 2 if direction == "bidirectional" else 1
    x = g("Transpose", "steps", perm=[1, 0, 2])
    weights = [g.normal(ways, gates, 4), g.normal(ways, gates, 8), g.normal(ways, 2 * gates, scale=0.1)]
    node = onnx.helper.make_node(operator, [x, *weights], ["", "last"], hidden_size=8, direction=direction)
    if operator == "GRU":
        node.attribute.append(onnx.helper.make_attribute("linear_before_reset", 1))
    g.nodes.append(node)
    x = g("Transpose", "last", perm=[1, 0, 2])
    x = g("Reshape", x, g.constant(np.array([-1, 8 * ways], np.int64)))
    g("Gemm", x, g.normal(3, 8 * ways), transB=1, output="logits")
    g.save(path, {"steps": ["N", 10, 4]}, {"logits": ["N", 3]})


def recurrent_steps(path: str) -> None:
    """Two LSTM layers, as PyTorch exports them, with all steps put out."""
    import onnx

    g = _Graph()
    x = g("Transpose", "steps", perm=[1, 0, 2])
    for features in (4, 8):
        weights = [g.normal(1, 32, features), g.normal(1, 32, 8), g.normal(1, 64, scale=0.1)]
        every = f"every_{features}"
        g.nodes.append(onnx.helper.make_node("LSTM", [x, *weights], [every], hidden_size=8))
        x = g("Squeeze", every, g.constant(np.array([1], np.int64)))
    g("Transpose", x, perm=[1, 0, 2], output="states")
    g.save(path, {"steps": ["N", 10, 4]}, {"states": ["N", 10, 8]})


def unsupported(path: str) -> None:
    """An operator that no TFLite runtime has: a Fourier transform of complex numbers."""
    g = _Graph()
    g("DFT", g("Reshape", "x", g.constant(np.array([-1, 8, 1], np.int64))), output="y", axis=1)
    g.save(path, {"x": ["N", 8]}, {"y": ["N", 8, 2]})


def unknown_operator(path: str) -> None:
    """An operator of somebody's own."""
    g = _Graph()
    g("Sparkle", "x", output="y", domain="example.sparkle")
    g.save(path, {"x": ["N", 9]}, {"y": ["N", 9]})


def not_a_number(path: str) -> None:
    """A weight is NaN, as after a training that diverged."""
    g = _Graph()
    weights = np.ones((3, 4), np.float32)
    weights[1, 2] = np.nan
    g("Gemm", "x", g.constant(weights), transB=1, output="y")
    g.save(path, {"x": ["N", 4]}, {"y": ["N", 3]})


def integers(path: str) -> None:
    """An embedding: its input is int64."""
    import onnx

    g = _Graph()
    x = g("Gather", g.normal(20, 6, scale=1.0), "words", axis=0)
    x = g("ReduceMean", x, axes=[1], keepdims=0)
    g("Gemm", x, g.normal(2, 6), transB=1, output="y")
    g.save(path, {"words": ["N", 7]}, {"y": ["N", 2]}, words=onnx.TensorProto.INT64)


def empty(path: str) -> None:
    """An axis of size zero."""
    g = _Graph()
    g("Relu", "x", output="y")
    g.save(path, {"x": ["N", 0, 4]}, {"y": ["N", 0, 4]})


def no_inputs(path: str) -> None:
    """Nothing goes in."""
    g = _Graph()
    g("Relu", g.normal(2, 2), output="y")
    g.save(path, {}, {"y": [2, 2]})


def external(path: str, location: str) -> None:
    """Weights in a file of their own, at `location` from the model's folder; only the name is written."""
    import onnx

    mlp(path)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with open(path, "wb") as file:  # noqa: PTH123 - onnx.save would look for the data
        file.write(model.SerializeToString())


def external_weights(path: str) -> None:
    """Weights in a file of their own beside the model, as large exports have them."""
    import onnx

    mlp(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="mlp.weights", size_threshold=0)


def versions() -> dict[str, str]:
    """What the environment has."""
    from importlib import metadata

    return {name: metadata.version(name) for name in ("onnx", "onnx2tf", "onnxruntime", "numpy")}


def build(name: str, path: str, **arguments: Any) -> str:
    """Build the model called `name` into `path`."""
    builder: Callable[..., None] = globals()[name]
    builder(path, **arguments)
    return path
