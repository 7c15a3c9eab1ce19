"""Images: mirrored, moved, tilted, in other light, with parts hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from train_host.augment.layer import Augmentation, at

_BRIGHTEST = 255.0


class Flip(Augmentation):
    """Mirrors half of the images, left and right exchanged: not for letters, nor for one-way things."""

    def change(self, x: Any) -> Any:
        """float32 [n, height, width, channels] -> the same shape."""
        return ops.where(self.chosen(x, 0.5), ops.flip(x, axis=2), x)


class Crop(Augmentation):
    """Moves each image by up to `share` of its size, up or down and left or right; its edges go on."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__(seed)
        self.share = share

    def change(self, x: Any) -> Any:
        """float32 [n, height, width, channels] -> the same shape."""
        moved = ops.transpose(self._moved(x), (0, 2, 1, 3))
        return ops.transpose(self._moved(moved), (0, 2, 1, 3))

    def _moved(self, x: Any) -> Any:
        """Along axis 1."""
        length = x.shape[1]
        by = self.uniform((ops.shape(x)[0], 1), -self.share * length, self.share * length)
        return at(x, ops.clip(ops.arange(length)[None] + ops.cast(ops.round(by), "int32"), 0, length - 1))


class Tilt(Augmentation):
    """Turns each image around its middle by up to `largest_deg`, and resizes it by up to a tenth."""

    def __init__(self, largest_deg: float, seed: int) -> None:
        super().__init__(seed)
        self.largest_rad = math.radians(largest_deg)

    def change(self, x: Any) -> Any:
        """float32 [n, height, width, channels] -> the same shape."""
        n, height, width = ops.shape(x)[0], x.shape[1], x.shape[2]
        angle = self.uniform((n,), -self.largest_rad, self.largest_rad)
        zoom = self.uniform((n,), 0.9, 1.1)
        cosine, sine = ops.cos(angle) * zoom, ops.sin(angle) * zoom
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        nothing = ops.zeros_like(angle)
        parts = [
            *(cosine, -sine, middle_x - middle_x * cosine + middle_y * sine),
            *(sine, cosine, middle_y - middle_x * sine - middle_y * cosine),
            *(nothing, nothing),
        ]
        return ops.image.affine_transform(x, ops.stack(parts, axis=1), fill_mode="nearest")


class Light(Augmentation):
    """Changes brightness and contrast of each image by up to `share`, each of three colours by half of it.

    Args:
        mean: of each channel: what contrast spreads from.
        share: of contrast; brightness changes by that share of half the range.
        seed: of the changes.
    """

    def __init__(self, mean: Sequence[float], share: float, seed: int) -> None:
        super().__init__(seed)
        self.mean, self.share = list(mean), share

    def change(self, x: Any) -> Any:
        """float32 [n, height, width, channels], 0..255 -> the same shape."""
        mean = ops.convert_to_tensor(self.mean, x.dtype)
        contrast = self.one_each(x, 1 - self.share, 1 + self.share)
        brightness = self.one_each(x, -self.share, self.share) * (_BRIGHTEST / 2)
        if x.shape[-1] == 3:
            tint = self.uniform((ops.shape(x)[0], 1, 1, 3), 1 - self.share / 2, 1 + self.share / 2)
            contrast = contrast * tint
        return ops.clip((x - mean) * contrast + mean + brightness, 0.0, _BRIGHTEST)


class Cutout(Augmentation):
    """Hides a rectangle of up to `share` of each side in half of the images, at the mean.

    After "Improved Regularization of Convolutional Neural Networks with Cutout" (DeVries and Taylor, 2017).
    """

    def __init__(self, mean: Sequence[float], share: float, seed: int) -> None:
        super().__init__(seed)
        self.mean, self.share = list(mean), share

    def change(self, x: Any) -> Any:
        """float32 [n, height, width, channels] -> the same shape."""
        n, height, width = ops.shape(x)[0], x.shape[1], x.shape[2]
        rows, columns = self.stretch(n, height, self.share), self.stretch(n, width, self.share)
        hidden = rows[:, :, None, None] & columns[:, None, :, None] & self.chosen(x, 0.5)
        return ops.where(hidden, ops.convert_to_tensor(self.mean, x.dtype), x)
