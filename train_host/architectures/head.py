"""The last layer of every architecture: what a task wants to hear of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_sdk.contract import Statistics

#: The layer whose one weight says which distance is the threshold.
ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Head:
    """A dense layer, and what turns its numbers into what they stand for.

    Attributes:
        units: numbers that the model says of a window.
        activation: what Keras calls it, so that scores are probabilities in the graph; None leaves values.
        values: mean and standard deviation of what is learned, in its units; None leaves numbers as they are.
        alarm: it is given a distance, 0 or more, and makes a score of it.
    """

    units: int
    activation: str | None = "softmax"
    values: Statistics | None = None
    alarm: bool = False

    def __call__(self, x: Any) -> Any:
        """float32 [n, features] -> float32 [n, units]."""
        import keras

        if self.alarm:
            return _score(_scaled(x))
        y = keras.layers.Dense(self.units, activation=self.activation, name="y")(x)
        return y if self.values is None else _in_units(self.values)(y)


def _in_units(values: Statistics) -> Any:
    """A model without weights: numbers of about -1..1 become values.

    First subtracted, then multiplied: the converter would fold a Rescaling into the dense layer, whose int8
    output would have to span from 0 to the values. So it stays float32 behind the last learned layer.
    """
    import keras
    from keras import ops

    mean, std = np.asarray(values.mean), np.asarray(values.std)
    inputs = keras.Input((len(mean),), name="numbers")
    shifted = ops.subtract(inputs, (-mean / std).astype(np.float32))
    return keras.Model(inputs, ops.multiply(shifted, std.astype(np.float32)), name="units")


def _scaled(distance: Any) -> Any:
    """A distance, float32 [n, 1], times the one weight that `train_host.judging.scoring` finds."""
    import keras

    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False, name=ALARM)
    return layer(distance)


def _score(x: Any) -> Any:
    """X / (1 + x): 0 at no distance, 0.5 at a distance of 1, below 1 at any."""
    import keras
    from keras import ops

    inputs = keras.Input((1,), name="distance")
    return keras.Model(inputs, ops.divide(inputs, ops.add(inputs, 1.0)), name="score")(x)
