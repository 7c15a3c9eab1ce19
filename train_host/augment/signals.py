"""Signals of sensors, and what holds for sound as well: turned, stronger, noisier, moved and stretched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from train_host.augment.layer import Augmentation, at, between

#: Places between which the pace of a warped window changes.
_KNOTS = 4


class Rotation(Augmentation):
    """Turns all three-axis sensors of a window by one random rotation, as if the device were worn askew.

    Args:
        columns: x, y, z of each sensor; all of them turn alike, since they are fixed in one device.
        largest_rad: the angle is uniform in 0..largest_rad, the axis uniform over all directions.
        seed: of the rotations.
    """

    def __init__(self, columns: Sequence[tuple[int, int, int]], largest_rad: float, seed: int) -> None:
        super().__init__(seed)
        self.columns, self.largest_rad = list(columns), largest_rad

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
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
        axis = self.normal((n, 3))
        axis = axis / (ops.norm(axis, axis=1, keepdims=True) + 1e-12)
        half = self.uniform((n, 1), 0.0, self.largest_rad / 2)
        w = ops.cos(half)[:, 0]
        x, y, z = ops.unstack(axis * ops.sin(half), 3, axis=1)
        rows = [
            *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        ]
        return ops.reshape(ops.stack(rows, axis=1), (-1, 3, 3))


class Jitter(Augmentation):
    """Adds white noise to each channel: `share` of its standard deviation."""

    def __init__(self, std: Sequence[float], share: float, seed: int) -> None:
        super().__init__(seed)
        self.noise = [share * value for value in std]

    def change(self, x: Any) -> Any:
        """float32 [n, …, channels] -> the same shape."""
        return x + self.normal(ops.shape(x)) * ops.convert_to_tensor(self.noise, x.dtype)


class ChannelDrop(Augmentation):
    """Holds one channel of a window at its mean, in `share` of the windows: nothing hangs on one sensor.

    Args:
        mean: of each channel.
        share: of the windows.
        seed: of the choices.
    """

    def __init__(self, mean: Sequence[float], share: float, seed: int) -> None:
        super().__init__(seed)
        self.mean, self.share = list(mean), share

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        n, channels = ops.shape(x)[0], x.shape[-1]
        which = keras.random.randint((n,), 0, channels, seed=self.seeds)
        hit = ops.one_hot(which, channels, dtype="bool")[:, None, :]
        return ops.where(hit & self.chosen(x, self.share), ops.convert_to_tensor(self.mean, x.dtype), x)


class _ByShare(Augmentation):
    """Changes each window by chance, by up to `share`."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__(seed)
        self.share = share


class Scaling(_ByShare):
    """Multiplies each window by one number of 1 ± `share`: weaker and stronger movements."""

    def change(self, x: Any) -> Any:
        """float32 [n, …, channels] -> the same shape."""
        return x * self.one_each(x, 1 - self.share, 1 + self.share)


class Gains(_ByShare):
    """Makes each channel of a window weaker or stronger by itself, up to 1 + `share` times: other sensors."""

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        most = math.log1p(self.share)
        return x * ops.exp(self.uniform((ops.shape(x)[0], 1, x.shape[-1]), -most, most))


class Shift(_ByShare):
    """Moves each window by a number of samples of its own, up to `share` of its length to either side.

    What leaves at one end comes in at the other: a recording that silence surrounds stays whole.
    """

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        window = x.shape[1]
        reach = self.share * window
        by = self.uniform((ops.shape(x)[0], 1), -reach, reach)
        return at(x, ops.mod(ops.arange(window)[None] + ops.cast(ops.round(by), "int32"), window))


class Speed(_ByShare):
    """Plays each window 1 ± `share` times as fast, around its middle; its first and last sample go on."""

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        last = x.shape[1] - 1
        rate = self.uniform((ops.shape(x)[0], 1), 1 - self.share, 1 + self.share)
        return between(x, (ops.arange(last + 1, dtype="float32")[None] - last / 2) * rate + last / 2)


class TimeWarp(_ByShare):
    """Plays parts of a window 1 ± `share` times as fast as others; it begins and ends where it did."""

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        window = x.shape[1]
        pace = self.uniform((ops.shape(x)[0], _KNOTS), 1 - self.share, 1 + self.share)
        steps = between(pace, ops.linspace(0.0, _KNOTS - 1.0, window - 1)[None] + ops.zeros_like(pace[:, :1]))
        passed = ops.pad(ops.cumsum(steps, axis=1), ((0, 0), (1, 0)))
        return between(x, passed / passed[:, -1:] * (window - 1))
