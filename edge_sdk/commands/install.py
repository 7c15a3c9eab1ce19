"""``edgeml install``: a release from a file, on the device itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import ProgressLine


@click.command(
    epilog="\b\nExample:\n  sudo edgeml install app.edgeml\n"
    "  sudo python3 app.edgeml --trust      the same where edgeml is not installed yet"
)
@click.argument("file", metavar="APP.EDGEML", type=click.Path(path_type=Path))
@click.option("--trust", is_flag=True, help="Trust its key, where this device trusts none yet.")
@click.option("--allow-older", is_flag=True, help="Take a release that is older than what ran here.")
@click.option("--service", type=click.Choice(["systemd", "none"]), default="systemd", show_default=True)
@json_option
def command(file: Path, as_json: bool, **options: Any) -> None:
    """Install a release that `edgeml deploy --bundle` wrote, on this device.

    It is verified, installed beside what runs, tried out, switched to, and watched, as by `edgeml deploy`.
    """
    from edge_sdk.deploy import packed
    from edge_sdk.deploy.agent import Agent

    progress = ProgressLine()
    try:
        told = packed.install(file, Agent(progress.step), progress.step, **options)
    finally:
        progress.end()
    said = packed.conclude(told)
    print_json(told) if as_json else click.echo(said)
