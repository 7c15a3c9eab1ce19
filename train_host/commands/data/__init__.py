"""``edgeml data``: makes dataset folders, looks through them, divides them and tells what changed."""

from __future__ import annotations

import click

from train_host.commands.data.check import command as check
from train_host.commands.data.import_ import command as import_
from train_host.commands.data.report import command as report
from train_host.commands.data.split import command as split
from train_host.commands.data.version import command as version


@click.group(
    epilog="\b\nExample:\n  edgeml data import measured/ -o data --rate-hz 50 --channels ax:g,ay:g,az:g\n"
    "  edgeml data check data\n"
    "  edgeml data report data -o data.html\n"
    "  edgeml data split data\n"
    "  edgeml data version data --save first"
)
def command() -> None:
    """Make a dataset folder out of recordings, check, show and divide it, and tell what changed in it."""


for _part in (import_, check, report, split, version):
    command.add_command(_part)
