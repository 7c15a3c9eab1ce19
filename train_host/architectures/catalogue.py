"""What each architecture costs, and which boards hold it: on examples from a file, for a dataset measured.

``costs.json`` is written and checked by tests/integration/test_architectures.py, so that a list needs no
TensorFlow; boards are judged anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from converters import boards
from converters.boards import Fit
from converters.costs import Cost
from edge_sdk import child
from edge_sdk.dataset import Dataset
from train_host import architectures, tasks
from train_host.architectures import kinds
from train_host.architectures.head import Head
from train_host.config import Config

FILE = Path(__file__).with_name("costs.json")
#: All architectures of one dataset together, s.
_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Example:
    """Windows that costs are of.

    Attributes:
        title: for people.
        shape: of one window, without the batch axis.
        rate_hz: of the recordings; None for images.
        head: the last layer.
        task: what is learned.
        without: architectures that make no sense for them.
    """

    title: str
    shape: tuple[int, ...]
    rate_hz: float | None
    head: Head
    task: str = "classification"
    without: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """As `kinds` calls it."""
        return kinds.of(self.shape, self.rate_hz)

    @property
    def names(self) -> list[str]:
        """The architectures that can be built for them from nothing."""
        fitting = architectures.names(self.kind, self.task)
        return [name for name in fitting if name != "transfer" and name not in self.without]

    @property
    def default(self) -> str:
        """What is taken where nothing is asked for."""
        return architectures.default(self.kind, self.task)

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        at = f" at {self.rate_hz:g} Hz" if self.rate_hz else ""
        return f"{self.title}: {size}{at}, {self.head.units} output{'s' * (self.head.units > 1)}"


@dataclass(frozen=True, slots=True)
class Costed:
    """What an architecture with its default options costs.

    Attributes:
        name: of the architecture.
        example: title of the windows.
        parameters: numbers in its learned layers, once it is int8.
        macs: multiply-accumulates an inference.
        cost: of its int8 .tflite, as boards are judged by; None where there is none.
        error: why it cannot be built or converted.
    """

    name: str
    example: str
    parameters: int = 0
    macs: int = 0
    cost: Cost | None = None
    error: str | None = None

    @property
    def boards(self) -> Mapping[str, Fit]:
        """The verdict of each board's first engine that runs it, or of its first one."""
        return (
            {} if self.cost is None else {name: _best(board, self.cost) for name, board in _boards().items()}
        )

    @property
    def arena_bytes(self) -> int:
        """What activations need in an engine that has the spectrogram as one kernel, or in any, bytes."""
        assert self.cost is not None
        return (self.cost.fused or self.cost).arena_bytes

    def as_dict(self) -> dict[str, Any]:
        """As ``edgeml train --list --json`` shows it."""
        if self.cost is None:
            return {"error": self.error}
        return {
            "parameters": self.parameters,
            "macs": self.macs,
            "bytes": self.cost.flash_bytes,
            "arena_bytes": self.arena_bytes,
            "boards": {
                name: {"runs": fit.runs, "engine": fit.engine, "reasons": list(fit.reasons)}
                for name, fit in self.boards.items()
            },
        }


EXAMPLES = (
    Example("motion, 2 s", (100, 6), 50.0, Head(7)),
    Example("sound, 1 s", (16000, 1), 16000.0, Head(10)),
    Example("small images", (32, 32, 3), None, Head(10), without=("mobilenet_v2", "mobilenet_v3")),
    Example("images", (96, 96, 3), None, Head(10), without=("mlp",)),
    Example("motion, 2 s, anomalies", (100, 6), 50.0, Head(1, None, alarm=True), "anomaly"),
)


def read() -> list[Costed]:
    """The costs of the examples."""
    return msgspec.json.decode(FILE.read_bytes(), type=list[Costed])


def write(costed: list[Costed]) -> None:
    """Put costs into the package's file."""
    text = msgspec.json.encode([_sorted(msgspec.to_builtins(each)) for each in costed])
    FILE.write_bytes(msgspec.json.format(text, indent=1) + b"\n")


def of_dataset(
    dataset: Dataset, config: Config, on_progress: Callable[[dict[str, Any]], None] | None = None
) -> tuple[Example, list[Costed]]:
    """Build and convert every architecture that fits a dataset, or the one asked for, in a child process.

    Args:
        dataset: whose windows they shall take.
        config: for the window; where it names an architecture, that alone is built, with its options.
        on_progress: called with what is being done.

    Raises:
        DatasetError: no task, or no recording that can be read.
        UnknownNameError: there is no such architecture.
        ConfigError: no window was given and there is no rate to choose one by.
        MissingExtraError: TensorFlow is not installed.
    """
    head = tasks.of(dataset).head(dataset)
    asked = None if config.arch is None else architectures.choose(config.arch, dataset, config.model)
    shape = _shape(dataset, config)
    example = Example(dataset.name or dataset.folder.name, shape, dataset.rate_hz, head, dataset.task)
    found = child.call(
        "train_host.architectures.trial:cost",
        timeout_s=_TIMEOUT_S,
        on_progress=None if on_progress is None else lambda facts: _stage(facts, on_progress),
        example=msgspec.to_builtins(example),
        names=example.names if asked is None else [asked],
        options={} if asked is None else config.model,
    )
    return example, msgspec.convert(found, list[Costed])


def _shape(dataset: Dataset, config: Config) -> tuple[int, ...]:
    if dataset.layout == "HWC":
        first = next(recording for recording in dataset.recordings)
        return tuple(dataset.read(first).samples.shape)
    return config.for_dataset(dataset).window or 1, len(dataset.channels)


def _stage(facts: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Hand on what is said here; a loader's own steps mean one model each."""
    if "stage" in facts:
        tell(facts)


def _best(board: boards.Board, cost: Cost) -> Fit:
    first = boards.judge(board, cost)
    return next((fit for fit in (first, *first.others.values()) if fit.runs), first)


@cache
def _boards() -> Mapping[str, boards.Board]:
    return boards.load()


def _sorted(value: Any) -> Any:
    """With sets in order, so that the same costs are the same bytes."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and all(isinstance(each, str | list | tuple) for each in value):
        return sorted(value)
    return value
