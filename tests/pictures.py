"""A model of pictures that says which colour there is most of, and pictures for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk import DecisionSettings
from edge_sdk.contract import Contract
from tests import kinds

COLOURS, LABELS = ("r", "g", "b"), ("red", "green", "blue")


def flatbuffer(height: int = 6, width: int = 8, dtype: str = "float32") -> bytes:
    """[-1, height, width, 3], 0..255, to a score for each colour; with bytes in it where `dtype` is uint8."""
    net, scaled = kinds.Net(), {"scaled": (1.0, 0)} if dtype == "uint8" else {}
    x = net.input("picture", [-1, height, width, 3], dtype, **scaled)
    axes = net.constant(np.array([1, 2], np.int32))
    means = kinds.mean(net, x, axes, [-1, 3], dtype=dtype, **scaled)
    shares = (1 / 256, 0) if dtype == "uint8" else None
    net.output("scores", net.op("SOFTMAX", [means], [-1, 3], dtype, shares, beta=1.0))
    return net.flatbuffer()


def contract() -> Contract:
    """Of `flatbuffer`, as training writes it: without a rate. No event begins: each says what it is."""
    facts = kinds.contract(COLOURS, 1, labels=LABELS, layout="HWC")
    still = replace(facts.input, rate_hz=None)
    return replace(facts, input=still, decision=DecisionSettings(background=LABELS))


def write(path: Path, height: int = 6, width: int = 8, dtype: str = "float32") -> Path:
    """The model file."""
    return kinds.write(path, flatbuffer(height, width, dtype), contract())


def painted(*colours: str, height: int = 6, width: int = 8) -> NDArray[np.uint8]:
    """uint8 [n, height, width, 3]: a picture of each colour, by the first letter of its name."""
    found = np.zeros((len(colours), height, width, 3), np.uint8)
    for picture, colour in zip(found, colours, strict=True):
        picture[..., COLOURS.index(colour)] = 200
    return found
