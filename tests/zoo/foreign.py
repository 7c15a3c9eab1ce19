"""What the models of other frameworks learn: their bodies stay random, their last layers are solved for.

That needs no training in frameworks that the test's own environment lacks, and gives a real accuracy. Numpy
only, for these run inside the environments of `converters.environments`. Everything is channels last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.zoo.data import Split, clothes, motion

Arrays = dict[str, NDArray[np.float32]]
#: How far the scores of right and wrong are apart before a softmax or sigmoid.
_MARGIN = 4.0
_RIDGE = 1e-2


@dataclass(frozen=True)
class Task:
    """Inputs and truths for training and for evaluation.

    Attributes:
        inputs: float32 [n, …] by name.
        truths: int64 by name of the output: classes [n], classes of places [n, …], or several labels [n, k].
        test_inputs: the same to evaluate on.
        test_truths: the same to evaluate on.
        groups: str, whom each of `test_inputs` comes from.
        channels_first: whether the framework wants NCHW or NCL where we have NHWC or NLC.
    """

    inputs: Arrays
    truths: dict[str, NDArray[np.int64]]
    test_inputs: Arrays
    test_truths: dict[str, NDArray[np.int64]]
    groups: NDArray[np.str_]
    channels_first: bool = True

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Of the only output."""
        return next(iter(self.test_truths.values())) if len(self.test_truths) == 1 else None

    def given(self, inputs: Arrays) -> Arrays:
        """Inputs as the framework wants them."""
        return {name: self.first(array) if self.channels_first else array for name, array in inputs.items()}

    def first(self, array: NDArray[Any]) -> NDArray[Any]:
        """Channels behind the batch."""
        return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if array.ndim > 2 else array

    def last(self, array: NDArray[Any]) -> NDArray[Any]:
        """Channels at the end."""
        return np.moveaxis(array, 1, -1) if self.channels_first and array.ndim > 2 else array


def solve(features: NDArray[Any], truths: NDArray[Any], rows: int, *, bias: bool) -> tuple[Any, Any]:
    """The linear layer that says best which class it is, in the least squares sense.

    Args:
        features: float32 [m, f], what goes into the layer.
        truths: int64 [m], classes, or [m, rows], several labels.
        rows: outputs of the layer.
        bias: whether it has one.

    Returns:
        Weights, float32 [rows, f], and bias, float32 [rows].
    """
    x = features.astype(np.float64)
    wanted = np.eye(rows)[truths] if truths.ndim == 1 else truths
    if bias:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    # The same for all features: a nearly constant one would get a weight that leaves no bits for the others.
    penalty = [features.var(axis=0).mean()] * features.shape[1] + [0.0] * bias
    gram = x.T @ x + _RIDGE * len(x) * np.diag(penalty)
    solved = np.linalg.solve(gram, x.T @ (wanted * 2 - 1) * _MARGIN).T.astype(np.float32)
    return (solved[:, :-1], solved[:, -1]) if bias else (solved, np.zeros(rows, np.float32))


def task(name: str) -> Task:
    """The task of the model of that name in `tests.onnx_models` and `tests.torch_models`."""
    return _TASKS[name]()


def _mlp() -> Task:
    def summary(x: Any) -> Any:
        return np.concatenate([x.mean(axis=1), x.std(axis=1)[:, :4]], axis=1)

    return _classes(motion(), (0, 1, 6), "features", "scores", summary)


def _sensor() -> Task:
    return _classes(motion(), (0, 1, 3, 6), "window", "logits", lambda x: x[:, :40])


def _recurrent() -> Task:
    return _classes(motion(), (0, 1, 3), "steps", "logits", lambda x: x[:, :40:4, :4], channels_first=False)


def _image() -> Task:
    return _classes(clothes(), (1, 5, 8, 9, 0), "image", "scores", lambda x: _colours(_sampled(x, 16, 16)))


def _flattened() -> Task:
    return _classes(clothes(), (1, 5, 8), "image", "logits", lambda x: _colours(_sampled(x, 8, 10))[..., :2])


def _depthwise() -> Task:
    data = clothes()
    x, test_x = (_sampled(images, 12, 10) for images in (data.x[:1000], data.test_x))
    mask, test_mask = _mask(x), _mask(test_x)
    return Task({"image": 4 * x}, {"mask": mask}, {"image": 4 * test_x}, {"mask": test_mask}, data.groups)


def _several() -> Task:
    data = clothes()

    def both(images: Any, labels: Any) -> tuple[Arrays, dict[str, NDArray[np.int64]]]:
        small = _sampled(images, 8, 8)
        halves = [small[:, :4], small[:, 4:], small[:, :, :4], small[:, :, 4:]]
        numbers = np.stack([half.mean(axis=(1, 2, 3)) for half in halves], axis=1) * 2
        truths = {"zone": labels, "heat": _mask(small), "alarm": (numbers[:, :3] > 0.5).astype(np.int64)}
        return {"numbers": numbers, "image": _colours(small)}, truths

    chosen, tested = data.y < 3, data.test_y < 3
    training = both(data.x[chosen], data.y[chosen])
    return Task(*training, *both(data.test_x[tested], data.test_y[tested]), data.groups[tested])


_TASKS = {
    "mlp": _mlp,
    "sensor": _sensor,
    "recurrent": _recurrent,
    "image": _image,
    "flattened": _flattened,
    "depthwise": _depthwise,
    "several": _several,
}


def _classes(
    data: Split,
    kinds: tuple[int, ...],
    source: str,
    output: str,
    prepare: Callable[[Any], Any],
    *,
    channels_first: bool = True,
) -> Task:
    """Some classes of a split, numbered anew: a random body cannot tell all of them apart."""
    chosen, tested = np.isin(data.y, kinds), np.isin(data.test_y, kinds)
    number = np.zeros(max(kinds) + 1, np.int64)
    number[list(kinds)] = np.arange(len(kinds))
    return Task(
        {source: prepare(data.x[chosen])},
        {output: number[data.y[chosen]]},
        {source: prepare(data.test_x[tested])},
        {output: number[data.test_y[tested]]},
        data.groups[tested],
        channels_first,
    )


def _sampled(images: Any, height: int, width: int) -> Any:
    return images[:, np.arange(height) * 28 // height][:, :, np.arange(width) * 28 // width]


def _colours(gray: Any) -> Any:
    return np.concatenate([gray, 1 - gray, np.square(gray)], axis=3)


def _mask(images: Any) -> Any:
    return (images[..., 0] > 0.3).astype(np.int64)
