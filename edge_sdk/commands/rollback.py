"""``edgeml rollback``: back to the release that ran before."""

from __future__ import annotations

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device, ProgressLine, watching
from edge_sdk.errors import GateError, printable
from edge_sdk.ssh import Address


@click.command(epilog="\b\nExample:\n  edgeml rollback ssh://pi@raspberrypi press-7")
@click.argument("device", type=Device())
@click.argument("name")
@json_option
def command(device: Address, name: str, as_json: bool) -> None:
    """Go back to the release that ran before.

    It is watched as a new one is: if it does not work any more, the one that runs now comes back.
    """
    from edge_sdk.deploy.push import Remote

    progress = ProgressLine()
    with Remote(device) as remote:
        try:
            with watching(device, progress):
                tried = remote.call("rollback", name)
                ended = remote.call("follow", name, progress.step, slot=tried["slot"])
        finally:
            progress.end()
    if ended["verdict"] == "refused":
        raise GateError(f"{device}: {name} {ended['version']} does not work any more", found=ended["reason"])
    if as_json:
        print_json(ended)
    else:
        how = f"is current; run it with: {tried['run']}" if "run" in tried else "runs"
        said = printable(f"{ended['version']} {how}")
        click.echo(f"{name}  {said}")
