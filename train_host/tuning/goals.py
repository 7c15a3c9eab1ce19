"""What a search is for: figures that should be large or small, and bounds that none may pass."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_sdk.errors import ConfigError, suggestion

#: Figures of a trial: whether more is better, and what they are.
FIGURES: dict[str, tuple[bool, str]] = {
    "accuracy": (True, "of the converted model on the validation groups"),
    "error": (False, "of the converted model on the validation groups, for a regression"),
    "latency_us": (False, "median of one inference on --target"),
    "instructions": (False, "of one inference on a --target that counts them, such as virtual:cortex-m4"),
    "flash_bytes": (False, "of code and constants, on such a target"),
    "arena_bytes": (False, "static memory of the model"),
    "bytes": (False, "of the .tflite"),
    "parameters": (False, "of the model"),
    "macs": (False, "multiplications of one inference"),
}
#: Those that only a target can tell.
MEASURED = ("latency_us", "instructions", "flash_bytes")
_UNITS = {"": 1, "k": 1000, "M": 1_000_000, "Ki": 1024, "Mi": 1 << 20}


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
        return ["maximize" if FIGURES[name][0] else "minimize" for name in self.objectives]

    def excess(self, figures: Mapping[str, Any]) -> dict[str, float]:
        """How far beyond each limit, as a share of it; 0 or less is within. What is not known is beyond."""
        found = {}
        for name, limit in self.limits.items():
            value = figures.get(name)
            sign = -1.0 if FIGURES[name][0] else 1.0
            found[name] = 1.0 if value is None else sign * (value - limit) / max(abs(limit), 1e-9)
        return found

    def values(self, figures: Mapping[str, Any]) -> list[float]:
        """The objectives of a trial.

        Raises:
            ConfigError: one is not known: the target does not tell it, or the task has none.
        """
        absent = [name for name in self.objectives if figures.get(name) is None]
        if absent:
            known = [name for name, value in figures.items() if value is not None and name in FIGURES]
            raise ConfigError(
                f"--objective {absent[0]}", expected="one of " + ", ".join(known), found="no such figure here"
            )
        return [float(figures[name]) for name in self.objectives]


def parse(objectives: Sequence[str], limits: Sequence[str], target: str | None) -> Goals:
    """Objectives, and limits such as ``arena_bytes=64Ki``.

    Raises:
        ConfigError: an unknown figure, one that needs a target, or a limit that is no number.
    """
    bounds: dict[str, float] = {}
    for text in limits:
        name, equals, amount = text.partition("=")
        match = re.fullmatch(r"([0-9.]+(?:e-?[0-9]+)?)(k|M|Ki|Mi)?", amount.strip())
        if not equals or match is None:
            raise ConfigError("--limit", expected="FIGURE=NUMBER, such as arena_bytes=64Ki", found=repr(text))
        try:
            bounds[name.strip()] = float(match[1]) * _UNITS[match[2] or ""]
        except ValueError as error:
            raise ConfigError("--limit", expected="a number", found=repr(amount)) from error
    for option, names in (("--objective", objectives), ("--limit", bounds)):
        for name in names:
            if name not in FIGURES:
                raise ConfigError(
                    f"{option} {name!r}",
                    expected="one of " + ", ".join(FIGURES),
                    remedy=suggestion(name, FIGURES),
                )
            if name in MEASURED and target is None:
                raise ConfigError(f"{option} {name}", expected="--target, where it is measured", found="none")
    if len(set(objectives)) != len(objectives) or not objectives:
        raise ConfigError(
            "--objective", expected="at least one, each once", found=", ".join(objectives) or "none"
        )
    return Goals(tuple(objectives), bounds)
