"""``edgeml service``: a systemd unit for a pipeline."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import click

from edge_sdk.cli import json_option, print_json


@click.command(
    epilog="\b\nExample:\n  edgeml service /etc/edgeml/press-7.toml\n"
    "  edgeml service /etc/edgeml/press-7.toml | sudo tee /etc/systemd/system/press-7.service\n"
    "  sudo systemctl daemon-reload && sudo systemctl enable --now press-7"
)
@click.argument("config", metavar="EDGEML.TOML", type=click.Path(path_type=Path))
@click.option("--user", metavar="NAME", help="Who runs it. Default: a user that systemd makes up.")
@click.option("--name", metavar="NAME", help="Of the unit and its folders. Default: the file's name.")
@json_option
def command(config: Path, user: str | None, name: str | None, as_json: bool) -> None:
    """Print a hardened systemd unit that runs a pipeline and keeps it running.

    The file is validated first, as `edgeml check` does. The service may use what the pipeline's sources and
    sinks need and nothing else; it is restarted when it fails or hangs. Nothing is installed: the unit says
    how, and what has to be seen to before.
    """
    from edge_sdk.pipeline import Pipeline
    from edge_sdk.unit import Settings, unit

    pipeline = Pipeline.from_config(config)
    settings = Settings(name or _name(config), user, _systemd())
    made = unit(pipeline, config, settings)
    for variable in made.variables:  # what it holds is known to the service only
        os.environ.setdefault(variable, "secret")
    pipeline.preview()
    if as_json:
        print_json({"name": settings.name, "file": made.path, "unit": made.text, "notes": list(made.notes)})
        return
    for note in made.notes:
        click.echo(f"edgeml: note: {note}", err=True)
    click.echo(made.text, nl=False)


def _name(config: Path) -> str:
    """After the file, or its folder where the file has the usual name."""
    path = config.absolute()
    stem = path.stem if path.stem != "edgeml" else "edgeml-" + path.parent.name
    return re.sub(r"[^A-Za-z0-9:_.-]+", "-", stem).strip(".-") or "edgeml"


def _systemd() -> int:
    """The version of systemd here, else of Debian 12's."""
    try:
        said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        said = ""
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else 252
