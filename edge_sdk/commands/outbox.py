"""``edgeml outbox``: look at what waits for delivery, and mend it, copy it or deliver it by hand."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import ConfigError, DeviceError, Rejected, Retry, one_line

if TYPE_CHECKING:
    from edge_sdk.prediction import Prediction

_FILE = click.argument("file", type=click.Path(path_type=Path))
_SINK = click.option("--sink", metavar="NAME", help="Only what this sink is owed.")
_DEAD = click.option("--dead", is_flag=True, help="Those that a destination refused for good, instead.")
_BATCH = 64
#: How often a destination that is away is tried, and with what pauses, s.
_TRIES, _PAUSE_S = 5, 1.0


@click.group(
    epilog="\b\nExample:\n"
    "  edgeml outbox inspect outbox.db\n"
    "  edgeml outbox replay outbox.db --to jsonl:rescued.jsonl"
)
def command() -> None:
    """What waits in an outbox: inspect, repair, export, replay."""


@command.command(epilog="\b\nExample:\n  edgeml outbox inspect outbox.db --json")
@_FILE
@json_option
def inspect(file: Path, as_json: bool) -> None:
    """Show what an outbox holds; changes nothing, also while a pipeline uses it, also when it is damaged."""
    from edge_sdk.outbox.reading import inspect as look

    report = look(file)
    print_json(report) if as_json else click.echo("\n".join(_lines(report)))


@command.command(epilog="\b\nExample:\n  edgeml outbox repair outbox.db")
@_FILE
@json_option
def repair(file: Path, as_json: bool) -> None:
    """Bring back what can be read of a damaged outbox, or of those that were put aside (FILE.corrupt-N).

    Every row whose checksum holds is owed again to the sinks that had not had it; none comes twice.
    The damaged files stay, as FILE.repaired-N.
    """
    from edge_sdk.outbox.repair import repair as mend

    done = mend(file)
    lost = {name: max(0, count) for name, count in done.missing.items()}
    if as_json:
        print_json({"files": done.files, "salvaged": dict(done.salvaged), "lost": lost, "dead": done.dead})
    elif not done.files:
        click.echo(f"{file}: nothing is damaged")
    else:
        for name in sorted({*done.salvaged, *lost}):
            click.echo(f"{name}: {done.salvaged[name]} predictions brought back, {lost.get(name, 0)} lost")
        click.echo(f"kept for you to delete: {', '.join(done.files)}")


@command.command(epilog="\b\nExample:\n  edgeml outbox export outbox.db --format csv -o waiting.csv")
@_FILE
@_SINK
@_DEAD
@click.option("--format", "kind", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
def export(file: Path, sink: str | None, dead: bool, kind: str, output: Path | None) -> None:
    """Copy what waits as JSON lines or CSV; everything stays where it is."""
    with contextlib.ExitStack() as stack:
        rows = stack.enter_context(contextlib.closing(_exported(file, sink, dead)))
        to = sys.stdout if output is None else stack.enter_context(_created(output))
        count = _write_csv(rows, to) if kind == "csv" else _write_lines(rows, to)
    if output is not None:
        click.echo(f"{output}: {count} predictions", err=True)


@command.command(epilog="\b\nExample:\n  edgeml outbox replay outbox.db --sink mqtt --to jsonl:rescued.jsonl")
@_FILE
@click.option("--to", "url", required=True, metavar="URL", help="Any sink that is no actuator.")
@_SINK
@_DEAD
@json_option
def replay(file: Path, url: str, sink: str | None, dead: bool, as_json: bool) -> None:
    """Deliver what waits, or the dead letters, to a destination by hand; what it has taken waits no more."""
    from edge_sdk import plugins

    plugin, _, _ = plugins.check_url("sinks", url)
    if getattr(plugin, "delivery", "direct") == "actuator":
        raise ConfigError(
            f"{url}: is an actuator",
            expected="a sink that keeps or tells",
            remedy="what is too old must not happen any more: actuators are never replayed",
        )
    with contextlib.closing(plugins.open_sink(url)) as destination:
        writer = _Writer(destination)
        (_replay_dead if dead else _replay_owed)(file, sink, writer)
    if as_json:
        print_json({"delivered": writer.delivered, "rejected": writer.rejected})
    else:
        click.echo(f"{writer.delivered} delivered, {writer.rejected} rejected")


class _Writer:
    """Writes batches to a destination, counts, and shows how far it is."""

    def __init__(self, destination: Any) -> None:
        self._destination = destination
        self.delivered = self.rejected = 0
        self._shown_s = time.monotonic()

    def write(self, predictions: Sequence[Prediction]) -> list[Rejected | None]:
        """Deliver, one by one where the destination refuses some; what became of each."""
        try:
            self._try(predictions)
        except Rejected as error:
            if len(predictions) > 1:
                return [self.write([prediction])[0] for prediction in predictions]
            self.rejected += 1
            return [error]
        self.delivered += len(predictions)
        if time.monotonic() - self._shown_s > 1.0:
            self._shown_s = time.monotonic()
            click.echo(f"{self.delivered} delivered …", err=True)
        return [None] * len(predictions)

    def _try(self, predictions: Sequence[Prediction]) -> None:
        for attempt in range(_TRIES):
            try:
                self._destination.write(predictions)
                return
            except Retry as error:
                if attempt == _TRIES - 1:
                    raise
                click.echo(f"{one_line(error)}; trying again", err=True)
                time.sleep(_PAUSE_S)


def _replay_owed(file: Path, sink: str | None, writer: _Writer) -> None:
    from edge_sdk.outbox import Outbox, OutboxSettings
    from edge_sdk.outbox.reading import Reading
    from edge_sdk.outbox.verdicts import Corrupt

    try:
        with Reading(file) as reading:
            owed = {row.name: reading.owed(row)[0] for row in reading.sinks}
    except Corrupt as error:
        raise _damaged(file, error) from error
    waiting = [name for name, count in owed.items() if count]
    if sink is not None and sink not in owed:
        raise _no_sink(file, sink, owed)
    if sink is None and len(waiting) > 1:
        raise ConfigError(
            f"{file}: several sinks are owed something", expected="--sink NAME", found=", ".join(waiting)
        )
    name = sink or (waiting[0] if waiting else None)
    if name is None:
        return
    # A person who rescues something wants all of it, however old and however much.
    settings = OutboxSettings(file, max_age_s=None, max_bytes=1 << 62)
    with Outbox(settings, sorted(owed)) as outbox:
        lane = next(lane for lane in outbox.lanes if lane.name == name)
        lane.close()
        while letters := lane.take(_BATCH):
            verdicts = writer.write([letter.prediction for letter in letters])
            for letter, verdict in zip(letters, verdicts, strict=True):
                if verdict is None:
                    lane.acknowledge([letter])
                else:
                    lane.reject(letter, "rejected", one_line(verdict))


def _replay_dead(file: Path, sink: str | None, writer: _Writer) -> None:
    from edge_sdk.outbox.letters import decode
    from edge_sdk.outbox.reading import Reading
    from edge_sdk.outbox.recovery import open_books
    from edge_sdk.outbox.store import Store
    from edge_sdk.outbox.verdicts import Corrupt

    try:
        with Reading(file) as reading:
            letters = [(rowid, len(letter.body)) for rowid, letter in reading.dead(sink)]
        with contextlib.closing(open_books(file)), contextlib.closing(Store(file, "batch")) as store:
            for rowid, size in letters:
                try:
                    prediction = decode(store.dead_body(rowid))
                except ValueError as error:
                    click.echo(f"{file}: a dead letter cannot be read: {error}", err=True)
                    continue
                if writer.write([prediction]) == [None]:
                    with store.transaction():
                        store.exhume(rowid, size)
    except Corrupt as error:
        raise _damaged(file, error) from error


def _exported(file: Path, sink: str | None, dead: bool) -> Generator[dict[str, Any]]:
    """Predictions as dictionaries; dead letters with what was wrong with them."""
    from edge_sdk.outbox.reading import Reading
    from edge_sdk.outbox.verdicts import Corrupt

    unreadable = 0
    try:
        with Reading(file) as reading:
            names = {row.name for row in reading.sinks}
            if sink is not None and sink not in names and not dead:
                raise _no_sink(file, sink, names)
            for row in _dead_rows(reading, sink) if dead else _owed_rows(reading, sink):
                if row is None:
                    unreadable += 1
                else:
                    yield row
    except Corrupt as error:
        raise _damaged(file, error) from error
    finally:
        if unreadable:
            click.echo(f"{file}: {unreadable} rows cannot be read", err=True)


def _owed_rows(reading: Any, sink: str | None) -> Iterator[dict[str, Any] | None]:
    from edge_sdk.outbox.letters import decode
    from edge_sdk.outbox.reading import owed_rows

    for row in owed_rows(reading, sink):
        try:
            yield decode(row.body).as_dict() if row.intact else None
        except ValueError:
            yield None


def _dead_rows(reading: Any, sink: str | None) -> Iterator[dict[str, Any] | None]:
    from edge_sdk.outbox.letters import decode

    for _, letter in reading.dead(sink):
        facts = {"sink": letter.sink, "reason": letter.reason, "detail": letter.detail}
        try:
            yield {**decode(letter.body).as_dict(), **facts}
        except ValueError:
            yield None


def _no_sink(file: Path, sink: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(f"{file}: no sink {sink!r}", expected="one of " + ", ".join(sorted(known)))


def _damaged(file: Path, error: Exception) -> DeviceError:
    return DeviceError(f"{file}: is damaged", found=error, remedy=f"mend it: edgeml outbox repair {file}")


@contextlib.contextmanager
def _created(output: Path) -> Iterator[TextIO]:
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise DeviceError(f"{output}: cannot be written", found=error.strerror or error) from error


def _write_lines(rows: Iterable[dict[str, Any]], to: TextIO) -> int:
    count = 0
    for row in rows:
        to.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _write_csv(rows: Iterable[dict[str, Any]], to: TextIO) -> int:
    table = csv.writer(to, lineterminator="\n")
    count = 0
    for row in rows:
        if not count:
            table.writerow(row)
        table.writerow(json.dumps(value) if isinstance(value, list) else value for value in row.values())
        count += 1
    return count


def _lines(report: dict[str, Any]) -> list[str]:
    """What `inspect` shows a person."""
    state = "in use" if report["in_use"] else "left by a crash" if report["crashed"] else "closed in order"
    lines = [f"{report['file']}: {report['problem'] or state}"]
    if report["rows"] is not None:
        size = f"{report['bytes']} bytes, {report['dead']} dead letters"
        lines.append(f"  {report['rows']} predictions, {size}")
    for name, facts in report["sinks"].items():
        age_s = facts["oldest_s"]
        oldest = "" if age_s is None else f", the oldest for {age_s:.0f} s"
        memory = f", {facts['in_memory']} more not on the disk" if facts.get("in_memory") else ""
        lines.append(f"  {name}: owed {facts['owed']}{oldest}{memory}")
    lines += [f"  put aside: {name}" for name in report["damaged_files"]]
    if report["problem"] or report["damaged_files"]:
        lines.append(f"  mend it with: edgeml outbox repair {report['file']}")
    return lines
