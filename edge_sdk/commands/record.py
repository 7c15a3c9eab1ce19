"""``edgeml record``: sensors into labelled recordings."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge_sdk.recorder.cues import Conductor
    from edge_sdk.recorder.recorder import Recorder
    from edge_sdk.recorder.report import Report

#: A recorder begins with the first cue so long after its start, s.
_READY_S = 3.0


@click.command(
    epilog="\b\nExample:\n"
    "  edgeml record serial:///dev/ttyACM0 -o data --group anna --labels rest,walk,fall\n"
    "  edgeml record serial:///dev/ttyACM0 -o data --group anna --cues rest:5,walk:10 --repeat 6\n"
    "  edgeml record edgeml.toml -o data --label normal --duration 600 --json"
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE_URL|EDGEML.TOML …")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The dataset folder; recordings are added to one that is there.",
)
@click.option("--label", help="What is shown, from the first sample to the last.")
@click.option("--labels", metavar="LABEL,…", help="Labels by key: 1, 2, 3, … or KEY=LABEL.")
@click.option(
    "--cues", metavar="FILE|LABEL:S,…", help="A cue sheet: what to show, for how long; - is a pause."
)
@click.option(
    "--repeat", type=click.IntRange(1, 1000), default=1, show_default=True, help="The sheet so often."
)
@click.option(
    "--settle",
    "settle_s",
    type=click.FloatRange(0, 60),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Left out at the start of each cue, as people react late.",
)
@click.option("--group", help="Who or what is recorded. Default: each device is a group.")
@click.option("--group-is", default="group", show_default=True, help="What a group is, in a new folder.")
@click.option(
    "--channels", metavar="NAME[:UNIT[:LOW:HIGH]],…", help="In a new folder. Default: as the source says."
)
@click.option("--licence", default="", help="Of the recordings, in a new folder.")
@click.option("--device", help="Name of a device whose source names none. Default: the host's name.")
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop after so long.",
)
@click.option(
    "--shortest",
    "shortest_s",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="What is shorter is thrown away.",
)
@click.option(
    "--longest",
    "longest_s",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="What is longer goes on in another file.",
)
@json_option
def command(  # noqa: PLR0913 - click hands over each option
    sources: tuple[str, ...],
    output: Path,
    channels: str | None,
    label: str | None,
    labels: str | None,
    cues: str | None,
    repeat: int,
    settle_s: float,
    device: str | None,
    duration_s: float | None,
    as_json: bool,
    **facts: Any,
) -> None:
    """Record sensors into the dataset folder OUTPUT, under labels from keys, a cue sheet, or --label.

    Without any of them recordings have no label yet: they are kept and never trained on. A gap, a sample that
    is no number and a change of label begin another recording. What is finished is on the disk; what a crash
    or a power cut leaves unfinished is finished by the next recorder into that folder.
    """
    from edge_sdk import channels as names
    from edge_sdk.dataset.naming import check_name
    from edge_sdk.recorder.cues import Conductor, read_cues
    from edge_sdk.recorder.keys import is_terminal, parse_keys
    from edge_sdk.recorder.recorder import Recorder
    from edge_sdk.recorder.report import Settings
    from edge_sdk.recorder.timeline import UNLABELLED, Timeline

    if sum(each is not None for each in (label, labels, cues)) > 1:
        raise ConfigError("labels", expected="one of --label, --labels and --cues", found="several")
    if label is not None:
        check_name(label)
    keys = parse_keys(labels) if labels else {}
    if keys and not is_terminal(sys.stdin):
        raise ConfigError(
            "--labels: keys", expected="a terminal", found="none", remedy="use --label or --cues"
        )
    conductor = Conductor(read_cues(cues), repeat, settle_s) if cues else None
    settings = Settings(
        folder=output,
        device=device or socket.gethostname() or "localhost",
        channels=names.parse_channels(channels) if channels else (),
        **facts,
    )
    first = label if label is not None else None if keys or conductor else UNLABELLED
    parts, folder = _sources(sources)
    recorder = Recorder(parts, Timeline(first), settings, folder)
    with _shown(recorder, keys, conductor):
        report = recorder.run(duration_s)
    if as_json:
        print_json({"dataset": str(output), **report.as_dict()})
    else:
        click.echo(_screen(output, report))


def _sources(given: tuple[str, ...]) -> tuple[list[Any], Path]:
    """URLs, or the sources of an edgeml.toml, and where relative paths in them begin."""
    if len(given) == 1 and given[0].endswith(".toml"):
        from edge_sdk.config import Config

        config = Config.load(given[0])
        return list(config.source), config.folder
    return list(given), Path()


@contextlib.contextmanager
def _shown(recorder: Recorder, keys: dict[str, str], conductor: Conductor | None) -> Iterator[None]:
    """Signals stop it, keys steer it, a screen shows it."""
    from edge_sdk.blocks import boottime_s
    from edge_sdk.logs import configured
    from edge_sdk.recorder.keys import Keyboard, is_terminal
    from edge_sdk.recorder.screen import RecorderView

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, signal.default_int_handler)  # a second one ends it at once
        recorder.stop()

    before = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    with contextlib.ExitStack() as stack:
        for number, handler in before.items():
            stack.callback(signal.signal, number, handler)
        stack.enter_context(configured(sys.stderr))
        if keys or (is_terminal(sys.stdin) and sys.stderr.isatty()):
            stack.enter_context(Keyboard(recorder, keys))
        if conductor is not None:
            conductor.begin(recorder.timeline, boottime_s() + _READY_S)
            assert conductor.ends_s is not None
            timer = threading.Timer(max(0.0, conductor.ends_s - boottime_s()), recorder.stop)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
        stack.enter_context(RecorderView(recorder, keys, conductor))
        try:
            yield
        except EdgeError as error:
            if error.report is not None and error.report.recordings:
                click.echo(f"kept: {len(error.report.recordings)} recordings", err=True)
            raise


def _screen(folder: Path, report: Report) -> str:
    lines = []
    for label, (count, seconds) in report.amounts().items():
        lines.append(f"{label or '(no label)':<20} {count:>4} recordings {seconds:>9.1f} s")
    if report.recovered:
        lines.append(f"finished for a recorder that had died: {', '.join(report.recovered)}")
    dropped = [f"{count:,} {why}" for why, count in report.samples.dropped.items() if count]
    left_out = f", left out: {', '.join(dropped)}" if dropped else ""
    lines.append(f"{report.samples.read:,} samples, {report.samples.used:,} in recordings{left_out}")
    if report.faults:
        lines.append("faults: " + ", ".join(f"{why} {count}" for why, count in report.faults.items()))
    lines.append(f"next: edgeml data check {folder}")
    return "\n".join(lines)
