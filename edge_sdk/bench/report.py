"""What ``edgeml bench`` found of a model, for people and for scripts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_sdk.bench.comparison import Comparison
from edge_sdk.bench.parity import Parity
from edge_sdk.bench.record import PERCENTILES, Record
from edge_sdk.bench.subject import Subject
from edge_sdk.errors import GateError, printable

_MEMORY = ("flash_bytes", "arena_bytes", "stack_bytes")
#: Processor time for each second, under which something else must have run.
_IDLE = 0.9
_NO_LATENCY = {**dict.fromkeys(PERCENTILES), "max": None}


@dataclass(frozen=True, slots=True)
class Report:
    """One model on one target.

    Attributes:
        subject: the model.
        target: URL.
        record: what was found there.
        parity: with the golden vectors; None where the file has none.
        measured_at: UTC, ISO 8601.
    """

    subject: Subject
    target: str
    record: Record
    parity: Parity | None
    measured_at: str

    @property
    def spread(self) -> dict[str, dict[str, float]]:
        """Of each percentile, its median over the rounds, the lowest and the highest round."""
        return {name: self._over_rounds(name) for name in PERCENTILES} if self.record.turns else {}

    @property
    def throttled(self) -> list[str]:
        """What slowed the machine down while it was measured, in words."""
        found = [word for turn in self.record.turns if turn.conditions for word in turn.conditions.now]
        events = [turn.conditions.throttle_events for turn in self.record.turns if turn.conditions]
        before = self.record.before.throttle_events if self.record.before else None
        if before is not None and events and (events[-1] or 0) > before:
            found.append("a core slowed itself down")
        return list(dict.fromkeys(found))

    def facts(self) -> dict[str, Any]:
        """What an earlier report is compared by, and what it costs."""
        record = self.record
        return {
            "model": str(self.subject.file),
            "digest": self.subject.digest,
            "target": self.target,
            "runtime": record.runtime,
            "version": record.version,
            "threads": record.threads,
            "inputs": self.subject.basis,
            "n": record.n,
            "latency_us": dict(record.latency_us or _NO_LATENCY),
            "instructions": record.instructions,
            "rss_mb": None if record.rss_bytes is None else record.rss_bytes / 1e6,
        }

    def as_dict(self, comparison: Comparison | None = None) -> dict[str, Any]:
        """The object of ``edgeml bench --json``."""
        record, turns = self.record, self.record.turns
        after = turns[-1].conditions if turns else None
        return {
            **self.facts(),
            "spread_us": self.spread,
            "model_mb": None if record.model_bytes is None else record.model_bytes / 1e6,
            "cpu_percent": None if record.cpu_share is None else 100 * record.cpu_share,
            **{name: getattr(record, name) for name in _MEMORY},
            "link": dict(record.link),
            "parity": None if self.parity is None else self.parity.as_dict(),
            "throttled": self.throttled,
            "throttled_since_boot": after.since_boot if after else [],
            "before": None if record.before is None else record.before.as_dict(),
            "after": None if after is None else after.as_dict(),
            "machine": dict(record.machine),
            "curve_us": list(record.curve_us),
            "rounds": [turn.as_dict() for turn in turns],
            "compare": None if comparison is None else comparison.as_dict(),
            "measured_at": self.measured_at,
            "passed": self.parity is None or not self.parity.mismatches,
        }

    def check(self) -> None:
        """Raise where the answers are wrong.

        Raises:
            GateError: a golden vector is not met.
        """
        if self.parity is not None and self.parity.mismatches:
            raise GateError(
                f"{self.subject.file}: other answers on {self.target} than where it was converted",
                expected=f"golden outputs within {self.parity.tolerance:g}",
                found=str(self.parity),
                remedy="update the runtime there, or convert the model again",
            )

    def _over_rounds(self, name: str) -> dict[str, float]:
        values = [turn.latency_us[name] for turn in self.record.turns]
        return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def lines(report: Report, comparison: Comparison | None) -> list[str]:
    """The report as an aligned table for people."""
    return [f"{name:<13} {printable(text)}" for name, text in _rows(report, comparison)]


def micros(value_us: float) -> str:
    """A latency with its unit: as many digits as mean something."""
    digits = max(0, 2 - math.floor(math.log10(value_us))) if value_us > 0 else 0
    return f"{value_us:,.{min(digits, 2)}f} µs"


def _rows(report: Report, comparison: Comparison | None) -> Iterator[tuple[str, str]]:
    record = report.record
    threads = "" if record.threads is None else f", {record.threads} thread{'s' * (record.threads > 1)}"
    yield "model", f"{report.subject.file}, {report.subject.digest[:19]}…"
    yield "target", f"{report.target}, {record.runtime} {record.version}{threads}"
    if record.machine:
        yield (
            "machine",
            f"{record.machine['model'] or record.machine['machine']}, {record.machine['cores']} cores",
        )
    yield "inputs", f"{report.subject.basis}, {record.n:,} inferences"
    yield from _latency(report)
    if record.instructions is not None:
        yield "instructions", f"{record.instructions:,} an inference at most"
    yield from _memory(record)
    if record.cpu_share is not None:
        share = f"{100 * record.cpu_share:.0f} % of one core"
        busy = "; other processes took the rest" * (record.cpu_share < _IDLE)
        yield "processor", share + busy
    yield from _state(report)
    if report.parity is not None:
        yield "parity", str(report.parity)
    else:
        yield "parity", "unknown: the file has no golden vectors"
    if comparison is not None:
        yield from _compared(comparison)


def _latency(report: Report) -> Iterator[tuple[str, str]]:
    latency = report.record.latency_us
    if latency is None:
        return
    yield "latency", ", ".join(f"{name} {micros(value)}" for name, value in latency.items())
    if report.spread:
        median = report.spread["p50"]
        yield (
            "spread",
            f"p50 of {len(report.record.turns)} rounds: {micros(median['median'])}, "
            f"{micros(median['lowest'])} to {micros(median['highest'])}",
        )


def _memory(record: Record) -> Iterator[tuple[str, str]]:
    if record.rss_bytes is not None:
        of_model = f", {record.model_bytes / 1e6:.1f} MB with the model" if record.model_bytes else ""
        yield "memory", f"{record.rss_bytes / 1e6:.1f} MB{of_model}"
    for name in _MEMORY:
        value = getattr(record, name)
        if value is not None:
            yield name.removesuffix("_bytes"), f"{value:,} bytes"
    counted = [f"{count:,} {name}" for name, count in record.link.items() if count]
    if counted:
        yield "link", ", ".join(counted)


def _state(report: Report) -> Iterator[tuple[str, str]]:
    before = report.record.before
    after = report.record.turns[-1].conditions if report.record.turns else None
    if before is None or after is None:
        return
    if before.temperature_c is not None and after.temperature_c is not None:
        yield "temperature", f"{before.temperature_c:.1f} °C before, {after.temperature_c:.1f} °C after"
    if before.frequencies_mhz and after.frequencies_mhz:
        governor = report.record.machine.get("governor")
        yield (
            "clock",
            f"{max(before.frequencies_mhz):,.0f} MHz before, {max(after.frequencies_mhz):,.0f} MHz after"
            + (f", governor {governor}" if governor else ""),
        )
    if report.throttled:
        yield "throttled", ", ".join(report.throttled) + ": cooler, or better fed, it is faster"
    elif after.throttled is not None:
        yield (
            "throttled",
            "no" + (f"; since it was started: {', '.join(after.since_boot)}" * bool(after.since_boot)),
        )


def _compared(comparison: Comparison) -> Iterator[tuple[str, str]]:
    ratios = ", ".join(f"{name} {ratio:.3f}×" for name, ratio in comparison.ratios.items())
    spread = comparison.spread
    rounds = f"; p50 of single rounds {spread[0]:.3f}× to {spread[1]:.3f}×" if spread else ""
    yield "compared", f"{comparison.other}: {ratios or 'nothing that both have'}{rounds}"
    for note in comparison.notes:
        yield "note", note
