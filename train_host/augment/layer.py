"""What every augmentation is: a layer that changes whole batches while training and nothing otherwise."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Augmentation(keras.layers.Layer):  # type: ignore[misc]
    """A layer with chance of its own. It computes in float32, whatever the model does.

    Args:
        seed: of everything that it draws.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(dtype="float32")
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, …] -> the same shape."""
        return self.change(x) if training else x

    def change(self, x: Any) -> Any:
        """What training sees instead of `x`: float32 [n, …] -> the same shape."""
        raise NotImplementedError

    def uniform(self, shape: tuple[Any, ...], low: float, high: float) -> Any:
        """float32, drawn anew for each batch."""
        return keras.random.uniform(shape, low, high, seed=self.seeds)

    def normal(self, shape: Any) -> Any:
        """float32 of unit variance."""
        return keras.random.normal(shape, seed=self.seeds)

    def one_each(self, x: Any, low: float, high: float) -> Any:
        """One number for each of a batch, to be multiplied with `x`: float32 [n, 1, …]."""
        return self.uniform((ops.shape(x)[0], *(1 for _ in x.shape[1:])), low, high)

    def chosen(self, x: Any, share: float) -> Any:
        """Whether it befalls each of a batch: bool [n, 1, …], true for `share` of them."""
        return self.one_each(x, 0.0, 1.0) < share

    def stretch(self, n: Any, length: int, share: float) -> Any:
        """True in one stretch of each row, of up to a share of it: bool [n, length]."""
        size = self.uniform((n, 1), 0.0, share * length)
        start = self.uniform((n, 1), 0.0, 1.0) * (length - size)
        places = ops.arange(length, dtype="float32")[None]
        return (places >= start) & (places < start + size)


def between(x: Any, places: Any) -> Any:
    """Values at places between samples, along axis 1: the two neighbours, weighted.

    Args:
        x: float32 [n, length, …].
        places: float32 [n, wanted], from 0 to length - 1; what lies outside is the first or last sample.

    Returns:
        float32 [n, wanted, …].
    """
    last = x.shape[1] - 1
    places = ops.clip(places, 0.0, float(last))
    before = ops.floor(places)
    share = _as_wide(places - before, x)
    first = ops.cast(before, "int32")
    return at(x, first) * (1 - share) + at(x, ops.minimum(first + 1, last)) * share


def at(x: Any, places: Any) -> Any:
    """Samples at these places: float32 [n, length, …], int32 [n, wanted] -> float32 [n, wanted, …]."""
    return ops.take_along_axis(x, _as_wide(places, x), axis=1)


def _as_wide(places: Any, x: Any) -> Any:
    return ops.reshape(places, (-1, places.shape[1], *(1 for _ in x.shape[2:])))
