"""What a search is for: figures that should be large or small, and bounds that none may pass."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_sdk.errors import ConfigError, suggestion


@dataclass(frozen=True, slots=True)
class Figure:
    """What is known of a trial under one name.

    Attributes:
        about: what it is.
        rises: whether more is better.
        tasks: that have it; empty for all.
        measured: only a target tells it.
        share: between 0 and 1.
    """

    about: str
    rises: bool = False
    tasks: tuple[str, ...] = ()
    measured: bool = False
    share: bool = False


#: Of the converted model on the validation groups, then what it costs. The first one of a task is its own.
FIGURES: dict[str, Figure] = {
    "accuracy": Figure(
        "windows that are right, all their labels where there are several",
        rises=True,
        tasks=("classification", "multilabel"),
        share=True,
    ),
    "f1_macro": Figure("mean F1 of the labels", rises=True, tasks=("multilabel",), share=True),
    "error": Figure("mean absolute error", tasks=("regression",)),
    "auc": Figure("area under the ROC curve", rises=True, tasks=("anomaly",), share=True),
    "detection": Figure("anomalies that are found", rises=True, tasks=("anomaly",), share=True),
    "false_alarms": Figure("normal windows that are taken for anomalies", tasks=("anomaly",), share=True),
    "latency_us": Figure("median time of an inference on --target", measured=True),
    "instructions": Figure("of an inference on an emulated --target, in generated C", measured=True),
    "flash_bytes": Figure("code and constants of the firmware on such a target", measured=True),
    "stack_bytes": Figure("deepest stack on a --target that is a board", measured=True),
    "arena_bytes": Figure("static memory of the model"),
    "bytes": Figure("of the .tflite"),
    "parameters": Figure("of the model"),
    "macs": Figure("multiplications of an inference"),
}
_SIZE = "bytes"
_UNITS = {"": 1, "k": 1000, "M": 1_000_000, "Ki": 1024, "Mi": 1 << 20}


def of_task(task: str) -> list[str]:
    """The figures of a task, its own ahead."""
    return [name for name, figure in FIGURES.items() if task in figure.tasks or not figure.tasks]


def usual(task: str) -> tuple[str, ...]:
    """What is searched for where nothing is asked: how good a model is, and its size."""
    return of_task(task)[0], _SIZE


@dataclass(frozen=True, slots=True)
class Goals:
    """What to look for.

    Attributes:
        objectives: names of figures, the first foremost.
        limits: largest value of a figure, or smallest where more is better.
    """

    objectives: tuple[str, ...]
    limits: Mapping[str, float]

    @property
    def directions(self) -> list[str]:
        """Optuna's word for each objective."""
        return ["maximize" if FIGURES[name].rises else "minimize" for name in self.objectives]

    def excess(self, figures: Mapping[str, Any]) -> dict[str, float]:
        """How far beyond each limit, as a share of it; 0 or less is within. What is not known is beyond."""
        found = {}
        for name, limit in self.limits.items():
            value = figures.get(name)
            sign = -1.0 if FIGURES[name].rises else 1.0
            found[name] = 1.0 if value is None else sign * (value - limit) / max(abs(limit), 1e-9)
        return found

    def unknown(self, figures: Mapping[str, Any]) -> str | None:
        """The first objective that a trial does not have as a number."""
        for name in self.objectives:
            value = figures.get(name)
            if value is None or not math.isfinite(value):
                return name
        return None

    def values(self, figures: Mapping[str, Any]) -> list[float]:
        """The objectives of a trial, all of which are known."""
        return [float(figures[name]) for name in self.objectives]

    def cost(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """The same, so that less is better in each."""
        pairs = zip(self.objectives, self.values(figures), strict=True)
        return tuple(-value if FIGURES[name].rises else value for name, value in pairs)


def parse(objectives: Sequence[str], limits: Sequence[str], task: str, target: str | None) -> Goals:
    """Objectives, and limits such as ``arena_bytes=64Ki``.

    Args:
        objectives: names of figures; none for the usual ones of the task.
        limits: as a user writes them.
        task: of the dataset.
        target: where figures are measured; None for nowhere.

    Raises:
        ConfigError: an unknown figure, one of another task, one that needs a target, or a limit that is no
            number.
    """
    bounds = dict(map(_limit, limits))
    names = tuple(objectives) or usual(task)
    for option, asked in (("--objective", names), ("--limit", bounds)):
        for name in asked:
            _check(option, name, task, target)
    if len(set(names)) != len(names):
        raise ConfigError("--objective", expected="each once", found=", ".join(names))
    return Goals(names, bounds)


def _limit(text: str) -> tuple[str, float]:
    name, equals, amount = text.partition("=")
    match = re.fullmatch(r"([0-9.]+(?:e-?[0-9]+)?)(k|M|Ki|Mi)?", amount.strip())
    if not equals or match is None:
        raise ConfigError("--limit", expected="FIGURE=NUMBER, such as arena_bytes=64Ki", found=repr(text))
    try:
        return name.strip(), float(match[1]) * _UNITS[match[2] or ""]
    except ValueError as error:
        raise ConfigError("--limit", expected="a number", found=repr(amount)) from error


def _check(option: str, name: str, task: str, target: str | None) -> None:
    known = of_task(task)
    if name not in FIGURES:
        raise ConfigError(
            f"{option} {name!r}", expected="one of " + ", ".join(known), remedy=suggestion(name, known)
        )
    if name not in known:
        raise ConfigError(
            f"{option} {name}", expected="one of " + ", ".join(known), found=f"a dataset for {task}"
        )
    if FIGURES[name].measured and target is None:
        raise ConfigError(
            f"{option} {name}",
            expected="--target, where it is measured",
            found="none",
            remedy="such as --target virtual:cortex-m4, or host:",
        )
