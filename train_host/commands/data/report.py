"""``edgeml data report``: a page to look at."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edge_sdk.cli import json_option, print_json


@click.command("report", epilog="\b\nExample:\n  edgeml data report data -o data.html")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The page. Default: FOLDER.html beside it."
)
@click.option("--window", type=click.IntRange(min=1), help="Samples in a window. Default: as edgeml train.")
@json_option
def command(folder: Path, output: Path | None, window: int | None, as_json: bool) -> None:
    """Show a dataset as one HTML page: balance, groups, signals, pictures, sounds, and what looks wrong.

    The page needs no network and runs no scripts.
    """
    from edge_sdk.dataset import Dataset
    from edge_sdk.errors import ConfigError, DeviceError
    from train_host.data import check, report

    output = output or folder.resolve().with_name(f"{folder.resolve().name}.html")
    if not output.parent.is_dir():
        raise ConfigError(
            f"{output.parent}: no such folder", remedy=f"make it first: mkdir -p {output.parent}"
        )
    count = len(Dataset.load(folder).recordings)
    with click.progressbar(length=count, label="looking", file=sys.stderr) as bar:
        checked = check.check(folder, window, lambda file: bar.update(1))
    page = report.render(checked)
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(output)
    except OSError as error:
        raise DeviceError(f"cannot write {output}", found=error.strerror or error) from error
    finally:
        beside.unlink(missing_ok=True)
    counts = {f"{kind}s": checked.count(kind) for kind in ("error", "warning", "hint")}
    if as_json:
        print_json({"dataset": str(folder), "report": str(output), "bytes": len(page.encode()), **counts})
        return
    click.echo(f"{output}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
