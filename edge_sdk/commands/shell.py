"""``edgeml shell``: a terminal on a device, where its pipelines lie."""

from __future__ import annotations

import os
import sys

import click

from edge_sdk import ssh
from edge_sdk.deploy.console import Device


@click.command(epilog="\b\nExample:\n  edgeml shell ssh://pi@raspberrypi")
@click.argument("device", type=Device())
def command(device: ssh.Address) -> None:
    """Open a terminal on a device, as the user that logs in."""
    arguments = ssh.interactive(device)
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)
