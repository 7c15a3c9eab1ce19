"""``edgeml data``: makes dataset folders and checks them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json

#: No recording is filled up to more, s.
_LONGEST_S = 3600.0


@click.group(
    epilog="\b\nExample:\n  edgeml data import measured/ -o data --rate-hz 50 --channels ax:g,ay:g,az:g\n"
    "  edgeml data check data"
)
def command() -> None:
    """Make a dataset folder out of recordings, and check one."""


@command.command(
    "import",
    epilog="\b\nExample:\n"
    "  edgeml data import measured/ -o data --rate-hz 50 --channels ax:g,ay:g,az:g --group-is person\n"
    "  edgeml data import day1/*.csv -o data --label idle --group press-7\n"
    "  edgeml data import raw/ -o data --pattern '(?P<group>[^/]+)/(?P<label>[^/]+)/(?P<id>[^/]+)$'",
)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The dataset folder to make."
)
@click.option(
    "--channels", help="Columns to take: NAME[:UNIT[:LOWEST:HIGHEST]],… Default: all of the first file."
)
@click.option(
    "--rate-hz", type=float, help="Sampling rate. Default: as the files say (time_s, rate_hz, wav)."
)
@click.option("--label", help="Label of all recordings. Default: the folder that a file lies in.")
@click.option("--group", help="Group of all recordings. Default: the file's name up to its last underscore.")
@click.option("--pattern", help="A regular expression with groups named label, group, id for the path.")
@click.option(
    "--pad-s", type=float, help="Fill shorter recordings up to so many seconds, with zeros at both ends."
)
@click.option("--name", help="Name of the dataset. Default: the folder's.")
@click.option("--group-is", default="group", show_default=True, help="What a group is: person, machine, day.")
@click.option("--licence", default="", help="Licence of the data, and whoever must be named.")
@click.option("--force", is_flag=True, help="Replace an existing dataset folder.")
@json_option
def import_(
    sources: tuple[Path, ...],
    channels: str | None,
    rate_hz: float | None,
    pad_s: float | None,
    force: bool,
    as_json: bool,
    **facts: Any,
) -> None:
    """Import CSV, npz, wav and png recordings into a new dataset folder.

    SOURCES are files, and folders that hold <label>/<group>_<id>.csv (or .npz .wav .png) somewhere below.
    """
    from edge_sdk.errors import ConfigError
    from train_host import importing

    if rate_hz is not None and not 0 < rate_hz < float("inf"):
        raise ConfigError("--rate-hz", expected="a positive rate", found=rate_hz)
    if pad_s is not None and not 0 < pad_s <= _LONGEST_S:
        raise ConfigError("--pad-s", expected=f"more than 0, at most {_LONGEST_S:g}", found=pad_s)
    chosen = importing.parse_channels(channels) if channels else ()
    request = importing.Request(
        sources=sources, channels=chosen, rate_hz=rate_hz, replace=force, pad_s=pad_s, **facts
    )
    paths, others = importing.find(sources)
    with click.progressbar(length=len(paths), label="importing", file=sys.stderr) as bar:
        dataset = importing.run(request, paths, lambda path: bar.update(1))
    if others:
        click.echo(f"left out, no recordings: {len(others)} files such as {others[0]}", err=True)
    result = {
        "dataset": str(dataset.folder),
        "recordings": len(dataset.recordings),
        "labels": list(dataset.labels),
        "groups": list(dataset.groups),
        "rate_hz": dataset.rate_hz,
        "digest": dataset.digest,
        "left_out": [str(path) for path in others],
    }
    if as_json:
        print_json(result)
        return
    click.echo(
        f"{dataset.folder}: {len(dataset.recordings)} recordings, {len(dataset.labels)} labels, "
        f"{len(dataset.groups)} {dataset.group}s\nnext: edgeml data check {dataset.folder}"
    )


@command.command(epilog="\b\nExample:\n  edgeml data check data --window 100")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--window", type=click.IntRange(min=1), help="Samples in a window. Default: two seconds.")
@json_option
def check(folder: Path, window: int | None, as_json: bool) -> None:
    """Look for what would spoil a model: NaN, wrong rates, clipped and stuck channels, duplicates, leaks.

    Exits with 1 when there are errors.
    """
    from train_host import check as checks

    checked = checks.check(folder, window)
    warnings = len(checked.findings) - checked.errors
    dataset = checked.dataset
    if as_json:
        facts = {
            "errors": checked.errors,
            "warnings": warnings,
            "amount": {label: round(value, 2) for label, value in (checked.amount or {}).items()},
        }
        print_json(
            {"dataset": str(folder), **facts, "findings": [finding.as_dict() for finding in checked.findings]}
        )
    else:
        for finding in checked.findings:
            click.echo(str(finding))
        if dataset is not None:
            unit = "images" if dataset.layout == "HWC" else "s"
            amounts = ", ".join(
                f"{label} {value:.0f} {unit}" for label, value in (checked.amount or {}).items()
            )
            click.echo(
                f"{len(dataset.recordings)} recordings of {len(dataset.groups)} {dataset.group}s: {amounts}"
            )
        click.echo(f"{checked.errors} errors, {warnings} warnings")
    if checked.errors:
        click.get_current_context().exit(1)
