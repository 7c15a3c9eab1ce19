"""``edgeml bench`` without its command line: measure a model, judge its answers, compare, write."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sdk.bench import comparison, plot, report
from edge_sdk.bench.comparison import Comparison
from edge_sdk.bench.parity import parity
from edge_sdk.bench.plan import Plan
from edge_sdk.bench.report import Report
from edge_sdk.bench.subject import Subject
from edge_sdk.errors import ConfigError, DeviceError, ModelError
from edge_sdk.modelfile import check_writable, write_atomic
from edge_sdk.targets import Target, open_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_sdk.bench.session import Tell

_SUFFIXES = (".json", ".svg")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured.

    Attributes:
        model: a .tflite.
        target: URL of where.
        plan: how long.
        other: a .tflite that is measured in turn with it, or an earlier report; None for neither.
        tell: told of each step.
    """

    model: Path
    target: str
    plan: Plan
    other: Path | None
    tell: Tell


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was found.

    Attributes:
        reports: of the model, and of the other one where that was measured, too.
        comparison: of the two; None without another.
    """

    reports: tuple[Report, ...]
    comparison: Comparison | None

    @property
    def report(self) -> Report:
        """Of the model."""
        return self.reports[0]

    def as_dict(self) -> dict[str, Any]:
        """The object of ``--json``."""
        return self.report.as_dict(self.comparison)

    def lines(self) -> list[str]:
        """The same for people."""
        return report.lines(self.report, self.comparison)

    def check(self) -> None:
        """Raise where answers are wrong.

        Raises:
            GateError: a golden vector is not met.
        """
        for each in self.reports:
            each.check()


def run(request: Request) -> Benchmark:
    """Measure.

    Raises:
        ModelError: a file cannot be used, or not on this target.
        ConfigError: the target cannot be measured, or the other file is neither a model nor a report.
        DeviceError: the target failed.
    """
    target = open_measurable(request.target)
    subjects = {request.model: Subject.read(request.model)}
    other, known = request.other, None
    if other is not None and other.suffix == ".json":
        known = comparison.earlier(other)
    elif other is not None:
        if other.resolve() == request.model.resolve():
            raise ConfigError(f"{other}: the model itself", expected="another one to compare it with")
        subjects[other] = Subject.read(other)
    found: Mapping[Path, Any] = target.bench(subjects, request.plan, request.tell)  # type: ignore[attr-defined]
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reports = tuple(_report(subject, request.target, found[file], at) for file, subject in subjects.items())
    return Benchmark(reports, _compared(reports, other, known))


def open_measurable(url: str) -> Target:
    """The target that a URL names, on which models can be measured.

    Raises:
        ConfigError: not a URL, an unknown option, or a target that models cannot be measured on.
        UnknownNameError: no such target.
    """
    target = open_target(url)
    if not hasattr(target, "bench"):
        raise ConfigError(
            f"target {url} cannot be measured",
            expected="one where models run: host:, ssh://…, virtual:…, qemu:…, serial:…",
        )
    return target


def check_output(name: Path) -> None:
    """Find out before long work whether the reports can be written.

    Raises:
        DeviceError: they cannot.
    """
    for file in _files(name):
        if file.is_dir():
            raise DeviceError(f"{file} is a folder", expected="a file, or nothing")
        check_writable(file.parent, file)


def write(found: Benchmark, name: Path) -> list[Path]:
    """Write ``NAME.json``, and ``NAME.svg`` where there is a latency to draw.

    Returns:
        What was written.

    Raises:
        DeviceError: it cannot be written.
    """
    facts, drawing = _files(name)
    write_atomic(facts, (json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n").encode())
    records = [(each.subject.file.name, each.record) for each in found.reports]
    if all(record.latency_us is None for _, record in records):
        return [facts]
    write_atomic(drawing, plot.draw(records).encode())
    return [facts, drawing]


def _files(name: Path) -> tuple[Path, Path]:
    stem = name.with_suffix("") if name.suffix in _SUFFIXES else name
    facts, drawing = (stem.with_name(stem.name + suffix) for suffix in _SUFFIXES)
    return facts, drawing


def _report(subject: Subject, target: str, record: Any, at: str) -> Report:
    if isinstance(record, ModelError):
        raise record
    same = None if subject.golden is None else parity(subject.golden, record.outputs)
    return Report(subject, target, record, same, at)


def _compared(
    reports: tuple[Report, ...], other: Path | None, known: Mapping[str, Any] | None
) -> Comparison | None:
    if other is None:
        return None
    if known is not None:
        return comparison.with_earlier(reports[0].record, known, other, reports[0].facts())
    mine, others = reports
    return comparison.side_by_side(mine.record, others.record, other, others.facts())
