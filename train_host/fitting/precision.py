"""Half precision while training, where it pays: weights stay float32, and so does the model that is saved.

Only layers behind the first learned one compute in half precision. What is ahead of it works on raw units,
which float16 may not hold (101,325 Pa), and the last layer turns into probabilities what float16 would round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


def resolve(asked: str) -> str:
    """What ``auto`` stands for: half precision where a GPU has units for it, float32 elsewhere."""
    if asked != "auto":
        return asked
    cards = tf.config.list_physical_devices("GPU")
    able = [
        tf.config.experimental.get_device_details(card).get("compute_capability", (0, 0)) for card in cards
    ]
    return "mixed_float16" if able and min(able) >= (7, 0) else "float32"


def lower(model: Any, policy: str) -> None:
    """Let the layers of a model compute in that precision; its variables stay as they are."""
    if policy == "float32":
        return
    layers = list(_flat(model))
    first = next((n for n, layer in enumerate(layers) if layer.trainable_weights), len(layers))
    for layer in layers[first:-1]:
        layer.dtype_policy = policy


def restore(model: Any) -> None:
    """All layers in float32 again."""
    for layer in _flat(model):
        layer.dtype_policy = "float32"


def _flat(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _flat(layer)
        else:
            yield layer
