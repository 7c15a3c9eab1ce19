"""A model beside another one, or beside an earlier report: ratios, as absolute times say little elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.bench.record import PERCENTILES, Record
from edge_sdk.errors import ConfigError, printable

_COSTS = (*PERCENTILES, "max")
#: What should be the same for two reports to be compared.
_ALIKE = ("target", "runtime", "version", "threads", "inputs")


@dataclass(frozen=True, slots=True)
class Comparison:
    """This model's cost divided by the other's.

    Attributes:
        other: the file.
        ratios: by percentile of the latency, or of ``instructions``: under 1 where this model is cheaper.
        spread: lowest and highest ratio of the medians of single rounds; None where they were not measured
            side by side.
        facts: of the other one, as in its report.
        notes: what makes the two unlike.
    """

    other: Path
    ratios: Mapping[str, float]
    spread: tuple[float, float] | None
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "other": str(self.other),
            "ratios": dict(self.ratios),
            "spread": None if self.spread is None else list(self.spread),
            "side_by_side": self.spread is not None,
            "notes": list(self.notes),
            **{name: self.facts.get(name) for name in ("latency_us", "instructions", "rss_mb", "digest")},
        }


def side_by_side(record: Record, other: Record, file: Path, facts: Mapping[str, Any]) -> Comparison:
    """Of two models that were measured in turn.

    Args:
        record: of the model.
        other: of the one that it is held against.
        file: of the other.
        facts: of the other, as in a report.
    """
    spread = None
    if record.turns and other.turns:
        rounds = [
            one.latency_us["p50"] / two.latency_us["p50"]
            for one, two in zip(record.turns, other.turns, strict=False)
        ]
        spread = (min(rounds), max(rounds))
    return Comparison(file, _ratios(_costs(record), facts), spread, facts)


def with_earlier(record: Record, facts: Mapping[str, Any], file: Path, now: Mapping[str, Any]) -> Comparison:
    """Of a model that is measured now and a report from another time.

    Args:
        record: of the model.
        facts: the earlier report.
        file: that it was in.
        now: facts of this measurement that should be the same.
    """
    unlike = [
        f"{name} was {printable(str(facts.get(name)))} and is {printable(str(now[name]))}"
        for name in _ALIKE
        if name in now and facts.get(name) != now[name]
    ]
    notes = ("measured at another time: a warmer or busier machine is slower", *unlike)
    return Comparison(file, _ratios(_costs(record), facts), None, facts, notes)


def earlier(file: Path) -> dict[str, Any]:
    """A report that ``edgeml bench -o`` wrote.

    Raises:
        ConfigError: it is none.
    """
    try:
        facts = json.loads(file.read_bytes())
        latency = facts["latency_us"]
        known = [latency[name] for name in _COSTS] + [facts["instructions"]]
        fits = all(cost is None or (isinstance(cost, (int, float)) and cost > 0) for cost in known)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read", found=error.strerror) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{file} is not a report",
            expected="a .tflite, or a .json that edgeml bench -o wrote",
            found=f"{type(error).__name__}: {printable(str(error))[:100]}",
        ) from error
    if not fits:
        raise ConfigError(f"{file} is not a report", expected="costs above 0", found=str(known)[:200])
    return dict(facts)


def _costs(record: Record) -> dict[str, float | None]:
    latency = record.latency_us or {}
    return {**{name: latency.get(name) for name in _COSTS}, "instructions": record.instructions}


def _ratios(costs: Mapping[str, float | None], facts: Mapping[str, Any]) -> dict[str, float]:
    others = {**facts["latency_us"], "instructions": facts["instructions"]}
    pairs = {name: (cost, others.get(name)) for name, cost in costs.items()}
    return {name: float(np.float64(cost) / other) for name, (cost, other) in pairs.items() if cost and other}
