"""A Keras model that computes as its int8 conversion will: layers that round, and let gradients pass.

What converts to one int8 operator is one here: a convolution with the normalisation and the activation behind
it. Weights are rounded to 255 steps a channel, which no normalisation changes, as it scales whole channels.
What comes out is rounded to 256 steps between the least and largest value that was seen. Biases are int32 in
the conversion and stay as they are.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from train_host.qat.graphs import readers

_STEPS, _WEIGHT_STEPS = 255, 127
#: How fast a range forgets an extreme that does not come again: in about a hundred batches.
_FORGETTING = 0.01
_MEASURED = 64

_layers = keras.layers
#: Layers with weights that int8 kernels hold, and the axes of the kernel that one scale stands for.
_WEIGHTED: dict[type, tuple[int, ...]] = {
    _layers.Conv1D: (0, 1),
    _layers.Conv2D: (0, 1, 2),
    _layers.DepthwiseConv1D: (0,),
    _layers.DepthwiseConv2D: (0, 1),
    _layers.Dense: (0,),
}
#: Activations that an integer operator clips with.
_FOLDED = (keras.activations.linear, keras.activations.relu, keras.activations.relu6)
#: They leave the steps as they are: what comes out of them has the scale of what goes in.
_MOVES = (
    *(_layers.Reshape, _layers.Flatten, _layers.Permute, _layers.Cropping1D, _layers.Cropping2D),
    *(_layers.ZeroPadding1D, _layers.ZeroPadding2D, _layers.MaxPooling1D, _layers.MaxPooling2D),
    *(_layers.GlobalMaxPooling1D, _layers.GlobalMaxPooling2D),
    *(_layers.UpSampling1D, _layers.UpSampling2D),
)
#: They round to the scale of what goes in.
_AVERAGES = (_layers.AveragePooling1D, _layers.AveragePooling2D)
#: They do nothing on the device.
_ABSENT = (
    *(_layers.Dropout, _layers.SpatialDropout1D, _layers.SpatialDropout2D, _layers.GaussianNoise),
    *(_layers.GaussianDropout, _layers.AlphaDropout),
)


def _rounded(x: Any) -> Any:
    """The nearest integers; gradients pass."""
    return x + ops.stop_gradient(ops.round(x) - x)


class Steps(keras.layers.Layer):  # type: ignore[misc]
    """Rounds to 256 steps between the ends of its range; gradients pass within it.

    The range holds what it was shown while `measuring`, and follows what training shows it.
    """

    def __init__(self) -> None:
        super().__init__(dtype="float32")
        self.measuring = False
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="zeros", trainable=False, name="high")

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, …] -> the same shape."""
        if self.measuring or training:
            self._follow(x)
        return x if self.measuring else self.rounded(x)

    def rounded(self, x: Any) -> Any:
        """On this layer's steps."""
        scale = ops.maximum(self.high - self.low, 1e-8) / _STEPS
        zero = ops.round(-self.low / scale)
        steps = ops.clip(_rounded(x / scale) + zero, 0, _STEPS)
        return (steps - zero) * scale

    def _follow(self, x: Any) -> None:
        forgotten = 0.0 if self.measuring else _FORGETTING
        self.low.assign(ops.minimum(ops.min(x), self.low * (1 - forgotten)))
        self.high.assign(ops.maximum(ops.max(x), self.high * (1 - forgotten)))


class _SameSteps(keras.layers.Layer):  # type: ignore[misc]
    """Rounds to the steps of another tensor."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(dtype="float32")
        self._round = steps.rounded  # a layer held as such would have its weights counted twice

    def call(self, x: Any) -> Any:
        """float32 [n, …] -> the same shape."""
        return self._round(x)


class _RoundedWeights(keras.layers.Layer):  # type: ignore[misc]
    """A layer whose kernel is rounded to 255 steps, by channel, each time it computes.

    Args:
        layer: with a kernel.
        axes: of the kernel that one scale stands for.
    """

    def __init__(self, layer: Any, axes: tuple[int, ...]) -> None:
        super().__init__(dtype="float32", name=f"rounded_{layer.name}")
        self.layer, self.axes = layer, axes

    def build(self, shape: Any) -> None:
        """The weights of the layer."""
        self.layer.build(shape)

    def call(self, x: Any) -> Any:
        """What the layer says."""
        kernel = self.layer.kernel
        largest = ops.max(ops.abs(kernel), axis=self.axes, keepdims=True)
        scale = ops.stop_gradient(ops.maximum(largest, 1e-12) / _WEIGHT_STEPS)
        rounded = _rounded(kernel / scale) * scale
        trainable = [
            rounded if variable is kernel else variable for variable in self.layer.trainable_variables
        ]
        fixed = self.layer.non_trainable_variables
        said, _ = self.layer.stateless_call(trainable, fixed, x)
        return said


class _Settled(keras.layers.Layer):  # type: ignore[misc]
    """A normalisation whose statistics do not change any more; its scales and offsets do."""

    def __init__(self, layer: Any) -> None:
        super().__init__(dtype="float32", name=f"settled_{layer.name}")
        self.layer = layer

    def build(self, shape: Any) -> None:
        """The weights of the layer."""
        self.layer.build(shape)

    def call(self, x: Any) -> Any:
        """What the layer says on the device."""
        return self.layer(x, training=False)


class Quantized:
    """A copy of a model that rounds as int8 does. A model within a model keeps its own precision.

    Args:
        model: float32; it keeps its weights until `give_back`.

    Attributes:
        model: the copy, with weights of its own.
    """

    def __init__(self, model: Any) -> None:
        whole = keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model
        self._ends = {id(tensor) for tensor in whole.outputs}
        self._readers = readers(whole)
        self._pairs: list[tuple[Any, Any]] = []
        self._original: dict[int, Any] = {}
        self._every: list[Steps] = []
        self._steps: dict[int, Steps] = {}
        self._learned: set[int] = set()
        self._alive: list[Any] = []  # tensors whose id must not be given to another
        self.model = keras.models.clone_model(whole, clone_function=self._copy, call_function=self._call)
        for original, copy in self._pairs:
            copy.set_weights(original.get_weights())

    def measure(self, windows: NDArray[np.float32]) -> None:
        """Take the ranges of all tensors from these windows: float32 [n, …]."""
        for steps in self._every:
            steps.low.assign(0.0)
            steps.high.assign(0.0)
            steps.measuring = True
        for start in range(0, len(windows), _MEASURED):
            self.model(windows[start : start + _MEASURED], training=False)
        for steps in self._every:
            steps.measuring = False

    def give_back(self) -> None:
        """The weights of the copy become those of the model."""
        for original, copy in self._pairs:
            original.set_weights(copy.get_weights())

    def _copy(self, layer: Any) -> Any:
        if not layer.weights:
            self._original[id(layer)] = layer
            return layer
        axes = _WEIGHTED.get(type(layer))
        config = layer.get_config()
        if axes is not None and not _is_folded(layer):
            config["activation"] = "linear"  # it follows the steps of what goes into it
        copy = type(layer).from_config(config)
        self._pairs.append((layer, copy))
        made = copy if axes is None else _RoundedWeights(copy, axes)
        if isinstance(layer, keras.layers.BatchNormalization):
            made = _Settled(copy)
        self._original[id(made)] = layer
        return made

    def _call(self, made: Any, *given: Any, **options: Any) -> Any:
        layer = self._original[id(made)]
        if isinstance(layer, _ABSENT):
            return given[0]
        weighted = type(layer) in _WEIGHTED
        if weighted:
            given = (self._stepped(given[0]), *given[1:])
        wrapped = isinstance(made, _RoundedWeights | _Settled)
        said = made(given[0]) if wrapped else made(*given, **options)
        self._alive.append(said)
        inputs = [id(tensor) for tensor in keras.tree.flatten(given)]
        if not (weighted or self._learned.intersection(inputs) or _is_learned(layer)):
            return said
        if weighted and not _is_folded(layer):
            said = keras.layers.Activation(layer.activation)(self._stepped(said))
            self._alive.append(said)
        before = self._steps.get(inputs[0])
        if id(layer.output) not in self._ends and not self._goes_on(layer):
            if before is not None and isinstance(layer, _MOVES):
                self._steps[id(said)] = before
            elif before is not None and isinstance(layer, _AVERAGES):
                said = _SameSteps(before)(said)
                self._steps[id(said)] = before
            else:
                said = self._stepped(said)
        self._alive.append(said)
        self._learned.add(id(said))
        return said

    def _stepped(self, x: Any) -> Any:
        """The tensor on steps: its own, unless it is on some already."""
        if id(x) in self._steps:
            return x
        steps = Steps()
        said = steps(x)
        self._every.append(steps)
        self._steps[id(said)] = steps
        self._alive.append(said)
        return said

    def _goes_on(self, layer: Any) -> bool:
        """Whether the layer behind it becomes part of the same operator."""
        readers = self._readers.get(id(layer.output), [])
        if len(readers) != 1:
            return False
        normal = type(layer) in _WEIGHTED and isinstance(readers[0], keras.layers.BatchNormalization)
        return normal or _is_relu(readers[0])


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ReLU) or (
        isinstance(layer, keras.layers.Activation) and layer.activation in _FOLDED
    )


def _is_folded(layer: Any) -> bool:
    """Whether its activation is part of the integer operator."""
    return layer.activation in _FOLDED


def _is_learned(layer: Any) -> bool:
    """Whether it holds what training found, besides the statistics of what it sees."""
    fixed = (keras.layers.BatchNormalization, keras.layers.Normalization)
    return bool(layer.trainable_weights) and not isinstance(layer, fixed)
