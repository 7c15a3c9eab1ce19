"""Augmentations: layers that change windows while training and are left out of the saved model.

They run inside the training step, on whole batches, so that an epoch costs hardly more than without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from edge_sdk.contract import Channel, Statistics
from train_host.config import Config
from train_host.prepare import check_augmentations, triplets


class Rotation(keras.layers.Layer):  # type: ignore[misc]
    """Turns all three-axis sensors of a window by one random rotation, as if the device were worn askew.

    Args:
        columns: x, y, z of each sensor; all of them turn alike, since they are fixed in one device.
        largest_rad: the angle is uniform in 0..largest_rad, the axis uniform over all directions.
        seed: of the rotations.
    """

    def __init__(self, columns: Sequence[tuple[int, int, int]], largest_rad: float, seed: int) -> None:
        super().__init__()
        self.columns, self.largest_rad = list(columns), largest_rad
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        if not training:
            return x
        turn = self._rotations(ops.shape(x)[0])
        parts = [x[:, :, channel] for channel in range(x.shape[-1])]
        for triplet in self.columns:
            before = ops.stack([parts[column] for column in triplet], axis=-1)
            after = ops.matmul(before, turn)
            for axis, column in enumerate(triplet):
                parts[column] = after[:, :, axis]
        return ops.stack(parts, axis=-1)

    def _rotations(self, n: Any) -> Any:
        """float32 [n, 3, 3], from unit quaternions."""
        axis = keras.random.normal((n, 3), seed=self.seeds)
        axis = axis / (ops.norm(axis, axis=1, keepdims=True) + 1e-12)
        half = keras.random.uniform((n, 1), 0.0, self.largest_rad / 2, seed=self.seeds)
        w = ops.cos(half)[:, 0]
        x, y, z = ops.unstack(axis * ops.sin(half), 3, axis=1)
        rows = [
            *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        ]
        return ops.reshape(ops.stack(rows, axis=1), (-1, 3, 3))


class Jitter(keras.layers.Layer):  # type: ignore[misc]
    """Adds white noise to each channel: `share` of its standard deviation."""

    def __init__(self, std: Sequence[float], share: float, seed: int) -> None:
        super().__init__()
        self.noise = [share * value for value in std]
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, …, channels] -> the same shape."""
        if not training:
            return x
        return x + keras.random.normal(ops.shape(x), seed=self.seeds) * ops.convert_to_tensor(
            self.noise, x.dtype
        )


class _ByShare(keras.layers.Layer):  # type: ignore[misc]
    """Changes each window by chance, by up to `share`."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self.share = share
        self.seeds = keras.random.SeedGenerator(seed)


class Scaling(_ByShare):
    """Multiplies each window by one number of 1 ± `share`: weaker and stronger movements."""

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, …, channels] -> the same shape."""
        if not training:
            return x
        shape = (ops.shape(x)[0], *(1 for _ in x.shape[1:]))
        return x * keras.random.uniform(shape, 1 - self.share, 1 + self.share, seed=self.seeds)


class Shift(_ByShare):
    """Moves each window by a number of samples of its own, up to `share` of its length to either side.

    What leaves at one end comes in at the other: a recording that silence surrounds stays whole.
    """

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        if not training:
            return x
        window = x.shape[1]
        reach = self.share * window
        by = keras.random.uniform((ops.shape(x)[0], 1), -reach, reach, seed=self.seeds)
        return _taken(x, ops.mod(ops.arange(window)[None] + ops.cast(ops.round(by), "int32"), window))


class Speed(_ByShare):
    """Plays each window 1 ± `share` times as fast, around its middle; its first and last sample go on."""

    def call(self, x: Any, training: bool = False) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        if not training:
            return x
        last = x.shape[1] - 1
        rate = keras.random.uniform((ops.shape(x)[0], 1), 1 - self.share, 1 + self.share, seed=self.seeds)
        place = ops.clip((ops.arange(last + 1, dtype="float32")[None] - last / 2) * rate + last / 2, 0, last)
        before = ops.floor(place)
        share = ops.cast(place - before, x.dtype)[..., None]
        first = ops.cast(before, "int32")
        return _taken(x, first) * (1 - share) + _taken(x, ops.minimum(first + 1, last)) * share


def _taken(x: Any, places: Any) -> Any:
    """The samples at these places: float32 [n, window, channels], int32 [n, window] -> as the first."""
    return ops.take_along_axis(x, places[..., None], axis=1)


def _rotation(config: Config, channels: Sequence[Channel], statistics: Statistics, seed: int) -> Any:
    return Rotation(triplets(channels, config.triplets), math.radians(config.rotation_deg), seed)


def _jitter(config: Config, channels: Sequence[Channel], statistics: Statistics, seed: int) -> Any:
    return Jitter(statistics.std, config.jitter, seed)


def _scaling(config: Config, channels: Sequence[Channel], statistics: Statistics, seed: int) -> Any:
    return Scaling(config.scaling, seed)


def _shift(config: Config, channels: Sequence[Channel], statistics: Statistics, seed: int) -> Any:
    return Shift(config.shift, seed)


def _speed(config: Config, channels: Sequence[Channel], statistics: Statistics, seed: int) -> Any:
    return Speed(config.speed, seed)


Maker = Callable[[Config, Sequence[Channel], Statistics, int], Any]
TABLE: dict[str, Maker] = {
    "rotation": _rotation,
    "jitter": _jitter,
    "scaling": _scaling,
    "shift": _shift,
    "speed": _speed,
}


def build(config: Config, channels: Sequence[Channel], statistics: Statistics) -> list[Any]:
    """The layers that `config.augment` names, in that order.

    Raises:
        UnknownNameError: there is no augmentation of that name.
        ConfigError: rotation without a sensor with three axes.
    """
    check_augmentations(config.augment, channels, config.triplets)
    return [
        TABLE[name](config, channels, statistics, config.seed + index)
        for index, name in enumerate(config.augment)
    ]
