"""``edgeml remove``: take a pipeline off a device."""

from __future__ import annotations

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device
from edge_sdk.errors import printable
from edge_sdk.ssh import Address


@click.command(epilog="\b\nExample:\n  edgeml remove ssh://pi@raspberrypi press-7")
@click.argument("device", type=Device())
@click.argument("name")
@json_option
def command(device: Address, name: str, as_json: bool) -> None:
    """Stop a pipeline and remove its releases; its results and what it had not delivered stay."""
    from edge_sdk.deploy.push import Remote

    with Remote(device) as remote:
        told = remote.call("remove", name)
    if as_json:
        print_json(told)
    else:
        state = printable(told["state"])
        click.echo(f"{name}  removed, {told['freed_bytes'] / 1e6:.1f} MB; its results are in {state}")
