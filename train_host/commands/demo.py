"""``edgeml demo``: the main job in one go on real data."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from edge_sdk.cli import json_option, print_json


@click.command(
    epilog="\b\nExample:\n  edgeml demo\n  edgeml demo -o /tmp/demo --json\n"
    "  sqlite3 edgeml-demo/events.db 'select label, count(*) from predictions group by label'"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("edgeml-demo"),
    show_default=True,
    help="Folder for data, models, report and database; an earlier demo there is replaced.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of split and training."
)
@json_option
def command(output: Path, seed: int, as_json: bool) -> None:
    """Train, convert, verify and run a model on real motion data, and show what came of it.

    Ten people wearing a smartwatch do seven shoulder exercises; the model is tested on people it never saw.
    """
    from train_host.demo import job, screen
    from train_host.progress import ProgressLine

    line = ProgressLine()

    def tell(text: str) -> None:
        line.end()
        click.echo(text, err=True)

    with job.printing_on_stderr() if as_json else contextlib.nullcontext():
        try:
            shown = job.demo(output, seed=seed, tell=tell, on_epoch=line)
        finally:
            line.end()
    if as_json:
        print_json(shown.as_dict())
    else:
        click.echo(screen.render(shown))
