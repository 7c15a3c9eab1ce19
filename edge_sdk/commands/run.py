"""``edgeml run``: run a pipeline."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, Fatal

if TYPE_CHECKING:
    from edge_sdk.ledger import Samples
    from edge_sdk.pipeline import Pipeline, Report
    from edge_sdk.session import Session


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
@click.option(
    "--outbox", metavar="FILE|none", help="Where predictions wait for sinks that are away; none: in memory."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where relative files of sinks and the outbox begin. Default: the folder of the edgeml.toml.",
)
@click.option(
    "--status",
    metavar="[HOST:]PORT|none",
    help="Where /metrics, /health and /ready are served. Default: 127.0.0.1:9464 for an edgeml.toml.",
)
@click.option(
    "--view/--no-view", default=None, help="A live screen instead of lines. Default: in a terminal."
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    help="auto: JSON under systemd, otherwise text.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, open no device, run nothing.")
@json_option
def command(
    what: Path,
    sources: tuple[str, ...],
    sinks: tuple[str, ...],
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run a pipeline: an edgeml.toml, or a model between --source and --sink.

    SIGINT and SIGTERM stop reading, deliver what was read, and exit 0; a second one exits at once. SIGHUP
    reads the edgeml.toml again: what does not pass every check changes nothing.
    """

    def build() -> Pipeline:
        return _pipeline(what, sources, sinks, options)

    pipeline = build()
    if dry_run:
        from edge_sdk.commands.check import describe

        preview = pipeline.preview()
        print_json({"ok": True, **preview}) if as_json else click.echo(describe(preview))
        return
    from edge_sdk.session import Session

    session = Session(pipeline, build if what.suffix == ".toml" else None)
    duration_s, once = options["duration_s"], options["once"]
    # With --json standard output belongs to the object, so a stdout: sink writes to standard error.
    elsewhere = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with elsewhere, _shown(session, pipeline, options):
        report = _run(session, duration_s, once)
    if once and not report.predictions and not session.signals:
        raise _with_summary(_never_came(report, duration_s))
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(summary(report), err=True)


def _pipeline(
    what: Path, sources: tuple[str, ...], sinks: tuple[str, ...], options: Mapping[str, Any]
) -> Pipeline:
    from edge_sdk.pipeline import Pipeline

    device, outbox, state = options["device"], options["outbox"], options["state"]
    table: Any = False if outbox == "none" else {"file": str(Path(outbox).absolute())} if outbox else {}
    if what.suffix != ".toml":
        if state:
            raise ConfigError("--state", expected="an edgeml.toml", found=what)
        if not sources:
            raise ConfigError(
                f"{what}: no source", expected="--source URL", remedy="such as --source replay:walk.csv"
            )
        return Pipeline(what, sources, sinks or ("stdout:",), device=device, outbox=table)
    if sources or sinks:
        raise ConfigError(
            f"{what} and --source or --sink", expected="sources and sinks in the file, or a model"
        )
    from edge_sdk.config import Config

    config = Config.load(what)
    if device:
        config = config.changed(device=device)
    if outbox:
        old = config.outbox if isinstance(config.outbox, dict) and table else {}
        config = config.changed(outbox={**old, **table} if table else False)
    return Pipeline.from_config(config, state=state)


@contextlib.contextmanager
def _shown(session: Session, pipeline: Pipeline, options: Mapping[str, Any]) -> Iterator[None]:
    """What the run says while it goes on: log lines, the status server, the live view."""
    from edge_sdk import logs

    with contextlib.ExitStack() as stack:
        stack.enter_context(logs.configured(sys.stderr, options["log_format"]))
        _serve_status(session, options["status"] or pipeline.status, stack)
        if _wants_view(pipeline, options["view"]):
            from edge_sdk.view import LiveView

            stack.enter_context(LiveView(session.taken, sys.stderr))
        yield


def _serve_status(session: Session, listen: str | None, stack: contextlib.ExitStack) -> None:
    """By default on loopback for a file; where another pipeline has that port, this one does without."""
    from edge_sdk.status import DEFAULT_ADDRESS, Status

    if listen == "none" or (listen is None and not session.has_file):
        return
    log = logging.getLogger("edgeml")
    status = Status(session.taken, listen or DEFAULT_ADDRESS)
    try:
        status.start()
    except DeviceError as error:
        if listen:
            raise
        log.warning("no /health and /metrics: %s", error)
        return
    stack.enter_context(status)
    log.info("status at http://%s/health", status.address)


def _wants_view(pipeline: Pipeline, asked: bool | None) -> bool:
    """In a terminal, unless the predictions are printed there."""
    if asked is not None:
        return asked
    printed = any(isinstance(part.sink, str) and part.sink.startswith("stdout:") for part in pipeline.sinks)
    return sys.stderr.isatty() and not (printed and sys.stdout.isatty())


def _run(session: Session, duration_s: float | None, once: bool) -> Report:
    try:
        return session.run(duration_s, once=once)
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
    if report is not None and (report.ledger.samples.read or report.ledger.received):
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
        *_received(ledger.received),
        f"  predictions  {ledger.predictions} = {ledger.delivered} delivered + {ledger.queued} queued"
        f" + {ledger.lost} lost",
    ]
    for name, account in ledger.sinks.items():
        dropped = f"{sum(account.dropped.values())} dropped{_reasons(account.dropped)}"
        carried = f"{account.carried} carried + " if account.carried else ""
        lines.append(
            f"  {name:<12} {carried}{account.offered} offered = {account.delivered} delivered"
            f" + {account.queued} queued + {dropped}"
        )
    if report.predictions:
        if report.latency_us["max"]:  # firmware may not say
            lines.append(f"  inference    {_latency(report.latency_us)}")
        lines.append(f"  to the sink  {_latency(report.block_to_sink_us)}")
    for name, count in (
        ("faults", ledger.faults),
        ("missed", report.missed),
        ("retries", report.retries),
        ("lost in the crash before", ledger.lost_in_crash if any(ledger.lost_in_crash.values()) else 0),
    ):
        if count:
            lines.append(f"  {name:<12} {count if isinstance(count, int) else _reasons(count)[2:-1]}")
    return "\n".join(lines)


def _received(received: Samples | None) -> list[str]:
    """Predictions of firmware, where there were any."""
    if received is None:
        return []
    dropped = sum(received.dropped.values())
    return [
        f"  received     {received.read} predictions of firmware = {received.used} decided"
        f" + {dropped} dropped{_reasons(received.dropped)}"
    ]


def _reasons(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    return f" ({shown})" if shown else ""


def _latency(quantiles: dict[str, float]) -> str:
    return "  ".join(f"{name} {_duration(us)}" for name, us in quantiles.items())


def _duration(us: float) -> str:
    if us < 1e3:
        return f"{us:.1f} µs"
    return f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.1f} s"
