"""``edgeml train --list``: what there is to choose from, for programs and for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_sdk.dataset import Dataset
from train_host import architectures, augment
from train_host.architectures import catalogue, listing
from train_host.config import Config


def as_dict() -> dict[str, Any]:
    """Architectures with their costs on the examples, and augmentations."""
    costed = catalogue.read()
    return {
        "architectures": {
            name: {
                "takes": list(entry.takes),
                "tasks": list(entry.only),
                "about": entry.about,
                "examples": {each.example: each.as_dict() for each in costed if each.name == name},
            }
            for name, entry in architectures.TABLE.items()
        },
        "augmentations": {
            name: {"takes": list(entry.kinds), "about": entry.about} for name, entry in augment.TABLE.items()
        },
    }


def lines() -> Iterator[str]:
    """The same as text."""
    yield from (*listing.names(), *listing.examples(catalogue.read()), "", "augmentations")
    for name, change in augment.TABLE.items():
        yield f"  {name:10} {change.about}"
    for kind, meant in augment.DEFAULTS.items():
        yield f"  {augment.AUTO:10} for {kind}: {', '.join(meant)}"


def for_dataset(
    folder: Path, config: Config, on_progress: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], list[str]]:
    """What each architecture that fits a dataset costs for its windows, as an object and as text.

    Args:
        folder: the dataset.
        config: for the window.
        on_progress: called with what is being built.

    Raises:
        DatasetError: it cannot be read, or nothing is trained for its task.
        ConfigError: no window was given and there is no rate to choose one by.
        MissingExtraError: TensorFlow is not installed.
    """
    example, costed = catalogue.of_dataset(Dataset.load(folder), config, on_progress)
    facts = {
        "shape": list(example.shape),
        "rate_hz": example.rate_hz,
        "default": example.default,
        "architectures": {each.name: each.as_dict() for each in costed},
    }
    return facts, listing.table(example, costed)
