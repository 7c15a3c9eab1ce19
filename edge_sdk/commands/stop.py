"""``edgeml stop``: stop a pipeline on a device."""

from __future__ import annotations

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device
from edge_sdk.ssh import Address


@click.command(epilog="\b\nExample:\n  edgeml stop ssh://pi@raspberrypi press-7")
@click.argument("device", type=Device())
@click.argument("name")
@json_option
def command(device: Address, name: str, as_json: bool) -> None:
    """Stop a pipeline, after it has delivered what it read; it starts again with the device."""
    from edge_sdk.deploy.push import Remote

    with Remote(device) as remote:
        told = remote.call("stop", name)
    print_json(told) if as_json else click.echo(f"{name}  stopped")
