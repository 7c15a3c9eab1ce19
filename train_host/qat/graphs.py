"""Which layer of a Keras model reads what."""

from __future__ import annotations

from typing import Any

import keras


def readers(model: Any) -> dict[int, list[Any]]:
    """For each tensor of a functional model, by its id, the layers that read it."""
    found: dict[int, list[Any]] = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            for tensor in keras.tree.flatten(layer.input):
                found.setdefault(id(tensor), []).append(layer)
    return found
