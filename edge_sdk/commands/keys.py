"""``edgeml keys``: who may sign releases, and for which devices."""

from __future__ import annotations

from pathlib import Path

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device
from edge_sdk.errors import printable
from edge_sdk.ssh import Address


@click.group(
    epilog="\b\nExample:\n  edgeml keys new\n"
    "  edgeml keys trust ssh://pi@raspberrypi --key ~/.ssh/id_ed25519.pub"
)
def command() -> None:
    """Make a key that signs releases; let a device trust it."""


@command.command("new", epilog="\b\nExample:\n  edgeml keys new\n  edgeml keys new release_key --comment ci")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--comment", default="edgeml", show_default=True, help="Whose it is.")
@json_option
def new(file: Path | None, comment: str, as_json: bool) -> None:
    """Make an ed25519 key; without FILE, the one that `edgeml deploy` takes.

    Your own SSH key works as well: edgeml deploy --key ~/.ssh/id_ed25519.
    """
    from edge_sdk.deploy import signature

    file = file or signature.own_key()
    key = signature.new_key(file, comment)
    print_json({"key": str(file), "public": key.line}) if as_json else click.echo(f"{file}\n{key.line}")


@command.command(
    "trust", epilog="\b\nExample:\n  edgeml keys trust ssh://pi@raspberrypi --key ~/.ssh/id_ed25519.pub"
)
@click.argument("device", type=Device())
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE", help="Public key. Default: edgeml's own."
)
@json_option
def trust(device: Address, key: Path | None, as_json: bool) -> None:
    """Let a device take releases that a key signed, beside the keys that it trusts."""
    from edge_sdk.deploy import signature
    from edge_sdk.deploy.push import Remote

    public = signature.PublicKey.read(signature.public_part(key or signature.own_key()))
    with Remote(device) as remote:
        told = remote.call("trust", key=public.line)
    print_json(told) if as_json else click.echo("\n".join(map(printable, told["trusted"])))


@command.command("distrust", epilog="\b\nExample:\n  edgeml keys distrust ssh://pi@raspberrypi --key old.pub")
@click.argument("device", type=Device())
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", required=True, help="Public key.")
@json_option
def distrust(device: Address, key: Path, as_json: bool) -> None:
    """Let a device take no more releases that a key signed."""
    from edge_sdk.deploy import signature
    from edge_sdk.deploy.push import Remote

    public = signature.PublicKey.read(signature.public_part(key))
    with Remote(device) as remote:
        told = remote.call("distrust", key=public.line)
    print_json(told) if as_json else click.echo(
        "\n".join(map(printable, told["trusted"])) or "none is trusted any more"
    )
