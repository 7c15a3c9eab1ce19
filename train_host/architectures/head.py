"""The last layer of every architecture: what a task wants to hear of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Head:
    """A dense layer.

    Attributes:
        units: numbers that the model says of a window.
        activation: what Keras calls it, so that scores are probabilities in the graph; None leaves values.
    """

    units: int
    activation: str | None = "softmax"

    def __call__(self, x: Any) -> Any:
        """float32 [n, features] -> float32 [n, units]."""
        import keras

        return keras.layers.Dense(self.units, activation=self.activation, name="y")(x)
