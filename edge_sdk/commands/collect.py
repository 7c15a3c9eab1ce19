"""``edgeml collect``: files that a pipeline keeps on a device, back to this machine."""

from __future__ import annotations

from pathlib import Path

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device, ProgressLine
from edge_sdk.errors import printable
from edge_sdk.ssh import Address


@click.command(
    epilog="\b\nExample:\n  edgeml collect ssh://pi@raspberrypi press-7 -o results\n"
    "  edgeml collect ssh://pi@raspberrypi press-7 'captured/*' -o windows"
)
@click.argument("device", type=Device())
@click.argument("name")
@click.argument("pattern", default="*")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    required=True,
    help="Where they go.",
)
@json_option
def command(device: Address, name: str, pattern: str, output: Path, as_json: bool) -> None:
    """Copy what a pipeline keeps on a device: captured windows, results, what it has not delivered.

    PATTERN is one of paths in its folder there, all of them without one. A database that is being written to
    is copied as it happens to be: stop the pipeline first where that matters.
    """
    from edge_sdk.deploy.collection import collect
    from edge_sdk.deploy.push import Remote

    progress = ProgressLine()
    with Remote(device) as remote:
        try:
            files, left_out = collect(remote, name, pattern, output, progress.received)
        finally:
            progress.end()
    for path in left_out:
        click.echo(f"edgeml: {device}: left out: {printable(path)}", err=True)
    if as_json:
        print_json({"files": files, "left_out": left_out, "folder": str(output)})
    else:
        click.echo("\n".join(files))
