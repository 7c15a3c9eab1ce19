"""``edgeml data import``: recordings of any format into a new dataset folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json

#: No recording is filled up to more, and no hole is longer, s; no image is larger than this on a side.
_LONGEST_S, _LARGEST = 3600.0, 8192


@click.command(
    "import",
    epilog="\b\nExample:\n"
    "  edgeml data import measured/ -o data --rate-hz 50 --channels ax:g,ay:g,az:g --group-is person\n"
    "  edgeml data import day1/*.csv -o data --label idle --group press-7\n"
    "  edgeml data import raw/ -o data --pattern '(?P<group>[^/]+)/(?P<label>[^/]+)/(?P<id>[^/]+)$'\n"
    "  edgeml data import all.parquet -o data --label-column activity --group-column person "
    "--time-column t:ms\n"
    "  edgeml data import sounds/ -o data --mono --rate-hz 16000 --resample\n"
    "  edgeml data import photos/ -o data --size 96x96 --colour rgb --group-is camera",
)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The dataset folder to make."
)
@click.option(
    "--channels", help="Columns to take: NAME[:UNIT[:LOWEST:HIGHEST]],… Default: all of the first file."
)
@click.option("--rate-hz", type=float, help="Sampling rate. Default: as the files say.")
@click.option(
    "--resample", is_flag=True, help="Bring all to --rate-hz, or to the rate of the first recording."
)
@click.option("--label", help="Label of all recordings. Default: as the source says, or its folder.")
@click.option("--group", help="Group of all. Default: as the source says, or the name up to its last _.")
@click.option("--pattern", help="A regular expression with groups named label, group, id for the path.")
@click.option("--label-column", help="Of long tables: the column that says what a row shows.")
@click.option("--group-column", help="Of long tables: the column that says who or what was recorded.")
@click.option("--recording-column", help="Of long tables: the column that tells recordings of a group apart.")
@click.option("--time-column", help="Of long tables: the clock, as NAME or NAME:UNIT (s, ms, us, ns).")
@click.option(
    "--target-column",
    "targets",
    multiple=True,
    help="Of long tables: a value to learn, as NAME[:UNIT]; the mean over a recording. Repeat for more.",
)
@click.option("--split-column", help="Of long tables: the column with train, validation or test.")
@click.option(
    "--pad-s", type=float, help="Fill shorter recordings up to so many seconds, with zeros at both ends."
)
@click.option(
    "--fill-s", type=float, help="Draw a straight line over missing values (NaN) of up to so many seconds."
)
@click.option("--mono", is_flag=True, help="Mix the channels of sounds into one.")
@click.option("--size", help="Bring images to HEIGHTxWIDTH, such as 96x96.")
@click.option(
    "--colour", type=click.Choice(["gray", "rgb"]), help="What images become. Default: as they are."
)
@click.option(
    "--as",
    "kind",
    type=click.Choice(["csv", "npz", "parquet"]),
    help="Write signals so. Default: as they came, where a folder can hold that.",
)
@click.option("--name", help="Name of the dataset. Default: the folder's.")
@click.option("--group-is", default="group", show_default=True, help="What a group is: person, machine, day.")
@click.option(
    "--task",
    type=click.Choice(["classification", "multilabel", "regression", "anomaly"]),
    default="classification",
    show_default=True,
    help="What is learned from it; with --target-column a regression.",
)
@click.option("--licence", default="", help="Licence of the data, and whoever must be named.")
@click.option("--force", is_flag=True, help="Replace an existing dataset folder.")
@json_option
def command(
    sources: tuple[Path, ...],
    channels: str | None,
    size: str | None,
    force: bool,
    as_json: bool,
    **facts: Any,
) -> None:
    """Import recordings into a new dataset folder.

    SOURCES are files and folders: CSV, npz, wav, Parquet and images as <label>/<group>_<id>.csv somewhere
    below; data of Edge Impulse (JSON, CBOR, info.labels); text in the style of UCI-HAR; long tables (CSV,
    Parquet) whose columns are named with --label-column and the like.
    """
    from train_host.data import importing

    columns = importing.Columns(
        targets=facts.pop("targets"),
        **{key: facts.pop(f"{key}_column") for key in ("label", "group", "recording", "time", "split")},
    )
    _check(facts["rate_hz"], pad=facts["pad_s"], fill=facts["fill_s"])
    request = importing.Request(
        sources=sources,
        channels=importing.parse_channels(channels) if channels else (),
        columns=columns,
        size=_size(size) if size else None,
        replace=force,
        **facts,
    )
    paths, others = importing.find(sources)
    total = sum(importing.size_of(path) for path in paths)
    with click.progressbar(length=total, label="importing", file=sys.stderr) as bar:
        imported = importing.run(request, paths, bar.update)
    for note in imported.notes:
        click.echo(f"note: {note}", err=True)
    if others:
        click.echo(f"left out, no recordings: {len(others)} files such as {others[0]}", err=True)
    dataset = imported.dataset
    result = {
        "dataset": str(dataset.folder),
        "recordings": len(dataset.recordings),
        "labels": list(dataset.labels),
        "groups": list(dataset.groups),
        "channels": [channel.name for channel in dataset.channels],
        "rate_hz": dataset.rate_hz,
        "digest": dataset.digest,
        "left_out": [str(path) for path in others],
        "notes": list(imported.notes),
    }
    if as_json:
        print_json(result)
        return
    click.echo(
        f"{dataset.folder}: {len(dataset.recordings)} recordings, {len(dataset.labels)} labels, "
        f"{len(dataset.groups)} {dataset.group}s\nnext: edgeml data check {dataset.folder}"
    )


def _check(rate_hz: float | None, **seconds: float | None) -> None:
    from edge_sdk.errors import ConfigError

    if rate_hz is not None and not 0 < rate_hz < float("inf"):
        raise ConfigError("--rate-hz", expected="a positive rate", found=rate_hz)
    for name, value in seconds.items():
        if value is not None and not 0 < value <= _LONGEST_S:
            raise ConfigError(f"--{name}-s", expected=f"more than 0, at most {_LONGEST_S:g}", found=value)


def _size(text: str) -> tuple[int, int]:
    from edge_sdk.errors import ConfigError

    height, _, width = text.lower().partition("x")
    sides = [int(side) if side.isdecimal() else 0 for side in (height, width)]
    if not all(1 <= side <= _LARGEST for side in sides):
        raise ConfigError("--size", expected=f"HEIGHTxWIDTH, each 1 to {_LARGEST}, such as 96x96", found=text)
    return sides[0], sides[1]
