"""``edgeml data check``: what would spoil a model."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge_sdk.cli import json_option, print_json


@click.command("check", epilog="\b\nExample:\n  edgeml data check data --window 100")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--window", type=click.IntRange(min=1), help="Samples in a window. Default: two seconds.")
@json_option
def command(folder: Path, window: int | None, as_json: bool) -> None:
    """Look for what would spoil a model: NaN, wrong rates, clipped and stuck channels, duplicates, leaks.

    Exits with 1 when there are errors.
    """
    from train_host import check as checks

    with click.progressbar(length=checks.size(folder), label="checking", file=sys.stderr) as bar:
        checked = checks.check(folder, window, lambda file: bar.update(1))
    dataset = checked.dataset
    if as_json:
        facts = {
            "errors": checked.count("error"),
            "warnings": checked.count("warning"),
            "hints": checked.count("hint"),
            "amount": {label: round(value, 2) for label, value in (checked.amount or {}).items()},
        }
        print_json(
            {"dataset": str(folder), **facts, "findings": [finding.as_dict() for finding in checked.findings]}
        )
    else:
        for finding in checked.findings:
            click.echo(str(finding))
        if dataset is not None:
            unit = "images" if dataset.layout == "HWC" else "s"
            amounts = ", ".join(
                f"{label} {value:.0f} {unit}" for label, value in (checked.amount or {}).items()
            )
            click.echo(
                f"{len(dataset.recordings)} recordings of {len(dataset.groups)} {dataset.group}s: {amounts}"
            )
        hints = f", {checked.count('hint')} hints" if checked.count("hint") else ""
        click.echo(f"{checked.count('error')} errors, {checked.count('warning')} warnings{hints}")
    if checked.count("error"):
        click.get_current_context().exit(1)
