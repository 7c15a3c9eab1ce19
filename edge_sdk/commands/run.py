"""``edgeml run``: run a pipeline."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, Fatal

if TYPE_CHECKING:
    from edge_sdk.pipeline import Pipeline, Report


@click.command(
    epilog="\b\nExample:\n"
    "  edgeml run edgeml.toml\n"
    "  edgeml run motion.tflite --source 'replay:walk.csv?speed=max' --sink sqlite:events.db\n"
    "  edgeml run motion.tflite --source serial:///dev/ttyACM0 --once --json"
)
@click.argument("what", metavar="EDGEML.TOML|MODEL.TFLITE", type=click.Path(path_type=Path))
@click.option("--source", "sources", multiple=True, metavar="URL", help="Where samples come from.")
@click.option("--sink", "sinks", multiple=True, metavar="URL", help="Where predictions go. Default: stdout:")
@click.option("--device", help="Name in the predictions. Default: the host's name.")
@click.option("--once", is_flag=True, help="Stop after the first prediction.")
@click.option(
    "--duration", "duration_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop after so long."
)
@click.option("--dry-run", is_flag=True, help="Check everything, open no device, run nothing.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    what: Path,
    sources: tuple[str, ...],
    sinks: tuple[str, ...],
    device: str | None,
    once: bool,
    duration_s: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a pipeline: an edgeml.toml, or a model between --source and --sink.

    SIGINT and SIGTERM stop reading, deliver what was read, and exit 0; a second one exits at once.
    """
    pipeline = _pipeline(what, sources, sinks, device)
    if dry_run:
        from edge_sdk.commands.check import describe

        preview = pipeline.preview()
        print_json({"ok": True, **preview}) if as_json else click.echo(describe(preview))
        return
    # With --json standard output belongs to the object, so a stdout: sink writes to standard error.
    elsewhere = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with _warnings_on_stderr(), _signals_stop(pipeline) as signals, elsewhere:
        report = _run(pipeline, duration_s, once)
    if once and not report.predictions and not signals:
        raise _with_summary(_never_came(report, duration_s))
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(summary(report), err=True)


def _pipeline(what: Path, sources: tuple[str, ...], sinks: tuple[str, ...], device: str | None) -> Pipeline:
    from edge_sdk.pipeline import Pipeline

    if what.suffix != ".toml":
        if not sources:
            raise ConfigError(
                f"{what}: no source", expected="--source URL", remedy="such as --source replay:walk.csv"
            )
        return Pipeline(what, sources, sinks or ("stdout:",), device=device)
    if sources or sinks:
        raise ConfigError(
            f"{what} and --source or --sink", expected="sources and sinks in the file, or a model"
        )
    from edge_sdk.config import Config

    config = Config.load(what)
    return Pipeline.from_config(config.named(device) if device else config)


def _run(pipeline: Pipeline, duration_s: float | None, once: bool) -> Report:
    try:
        return pipeline.run(duration_s, once=once)
    except Fatal as error:
        if isinstance(error.__cause__, BrokenPipeError):  # `| head` has seen enough: that is no failure
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the interpreter's own flush at exit
            report: Report = error.report
            return report
        raise _with_summary(error) from None
    except EdgeError as error:
        raise _with_summary(error) from None


def _with_summary(error: EdgeError) -> EdgeError:
    report = getattr(error, "report", None)
    if report is not None and report.ledger.samples.read:
        click.echo(summary(report), err=True)
    return error


def _never_came(report: Report, duration_s: float | None) -> DeviceError:
    error = DeviceError(
        "no prediction came",
        expected=f"one within {duration_s:g} s" if duration_s else "one before the sources ended",
        found=f"{report.ledger.samples.read} samples",
        remedy="check the source: edgeml check",
    )
    error.report = report
    return error


def summary(report: Report) -> str:
    """The screen at the end of a run."""
    ledger = report.ledger
    samples = ledger.samples
    lines = [
        f"run {report.run_id}: {report.predictions} predictions in {report.duration_s:.1f} s,"
        f" ledger {'balanced' if ledger.balanced else 'NOT balanced: please report this'}",
        f"  samples      {samples.read} read = {samples.used} used + {samples.pending} pending"
        f" + {sum(samples.dropped.values())} dropped{_reasons(samples.dropped)}",
        f"  predictions  {ledger.predictions} = {ledger.delivered} delivered + {ledger.queued} queued"
        f" + {ledger.lost} lost",
    ]
    for name, account in ledger.sinks.items():
        dropped = f"{sum(account.dropped.values())} dropped{_reasons(account.dropped)}"
        lines.append(
            f"  {name:<12} {account.offered} offered = {account.delivered} delivered"
            f" + {account.queued} queued + {dropped}"
        )
    if report.predictions:
        lines.append(f"  inference    {_latency(report.latency_us)}")
        lines.append(f"  to the sink  {_latency(report.block_to_sink_us)}")
    for name, count in (("faults", ledger.faults), ("missed", report.missed), ("retries", report.retries)):
        if count:
            lines.append(f"  {name:<12} {count if isinstance(count, int) else _reasons(count)[2:-1]}")
    return "\n".join(lines)


def _reasons(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    return f" ({shown})" if shown else ""


def _latency(quantiles: dict[str, float]) -> str:
    return "  ".join(f"{name} {_duration(us)}" for name, us in quantiles.items())


def _duration(us: float) -> str:
    if us < 1e3:
        return f"{us:.1f} µs"
    return f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.1f} s"


@contextlib.contextmanager
def _signals_stop(pipeline: Pipeline) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM drains, the second exits at once; yields those that came."""
    seen: list[int] = []

    def handle(number: int, _frame: Any) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        pipeline.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """What the pipeline has to say while it runs, one line each."""
    log = logging.getLogger("edgeml")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("edgeml: %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
