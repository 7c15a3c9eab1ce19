"""The training companion: from a dataset folder to a model that fits the device.

    from pathlib import Path

    from train_host import Config, Request, train

    result = train(Request(Path("data"), Config(epochs=20), Path("motion.keras")))
    print(result["accuracy"], result["interval"])

Importing it imports nothing heavy; TensorFlow is started in a child process.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train_host.config import Config, load
    from train_host.training import Request, train

#: Where each public name lives; looked up on first use.
_HOMES = {"Config": "config", "Request": "training", "load": "config", "train": "training"}

__all__ = ["Config", "Request", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'train_host' has no attribute {name!r}")
    return getattr(importlib.import_module(f"train_host.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
