"""``edgeml status``: what runs on a device."""

from __future__ import annotations

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device, lines
from edge_sdk.ssh import Address


@click.command(
    epilog="\b\nExample:\n  edgeml status ssh://pi@raspberrypi\n"
    "  edgeml status ssh://pi@raspberrypi press-7 --json | jq .pipelines[0].current.version"
)
@click.argument("device", type=Device())
@click.argument("name", required=False)
@json_option
def command(device: Address, name: str | None, as_json: bool) -> None:
    """Show what runs on a device, what `edgeml rollback` would go back to, and what was refused, and why."""
    from edge_sdk.deploy.push import Remote

    with Remote(device) as remote:
        told = remote.call("status", name)
    if as_json:
        print_json(told)
    else:
        rows = [line for each in told["pipelines"] for line in lines(each)]
        click.echo("\n".join(rows) or f"{device}: nothing was deployed there")
