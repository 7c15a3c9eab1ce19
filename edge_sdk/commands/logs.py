"""``edgeml logs``: what a pipeline on a device says."""

from __future__ import annotations

import subprocess
import sys

import click

from edge_sdk import ssh
from edge_sdk.deploy.console import Device
from edge_sdk.errors import printable

_LONGEST_LINE = 1 << 16


@click.command(epilog="\b\nExample:\n  edgeml logs ssh://pi@raspberrypi press-7 -f")
@click.argument("device", type=Device())
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="So many first.")
def command(device: ssh.Address, name: str, follow: bool, lines: int) -> None:
    """Show the log of a pipeline on a device."""
    from edge_sdk.deploy.push import AS_ROOT, Remote

    with Remote(device) as remote:
        remote.call("status", name)  # says which there are, where there is none of that name
        wanted = f"-u edgeml-{name}.service -u edgeml-{name}-trial.service -n {lines}"
        script = f"exec {AS_ROOT} journalctl --no-pager -o short-iso {wanted}{' -f' if follow else ''}"
        with subprocess.Popen(
            remote.shell(script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ssh.environment()
        ) as process:
            assert process.stdout is not None
            try:
                while line := process.stdout.readline(_LONGEST_LINE):
                    # Whatever runs there writes it, and it is not to control this terminal.
                    click.echo(printable(line.decode(errors="replace").rstrip("\r\n")))
            except KeyboardInterrupt:
                return
            except BrokenPipeError:
                process.kill()
                raise
    sys.exit(3 if process.returncode else 0)
