"""``edgeml data check``: what would spoil a model."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sdk.cli import json_option, print_json

if TYPE_CHECKING:
    from train_host.data.finding import Finding

#: Findings with the same remedy that are printed; all of them stand in --json.
_SHOWN = 5


@click.command("check", epilog="\b\nExample:\n  edgeml data check data --window 100")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--window", type=click.IntRange(min=1), help="Samples in a window. Default: as edgeml train.")
@json_option
def command(folder: Path, window: int | None, as_json: bool) -> None:
    """Look for what would spoil a model: NaN, wrong rates, clipped and stuck channels, duplicates, leaks.

    Exits with 1 when there are errors.
    """
    from train_host.data import check as checks

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
        for line in _lines(checked.findings):
            click.echo(line)
        if dataset is not None:
            unit = "images" if dataset.layout == "HWC" else "s"
            amounts = ", ".join(
                f"{label} {value:.0f} {unit}" for label, value in (checked.amount or {}).items()
            )
            known = f"{len(dataset.recordings)} recordings of {len(dataset.groups)} {dataset.group}s"
            click.echo(f"{known}: {amounts}" if amounts else known)
        hints = f", {checked.count('hint')} hints" if checked.count("hint") else ""
        click.echo(f"{checked.count('error')} errors, {checked.count('warning')} warnings{hints}")
    if checked.count("error"):
        click.get_current_context().exit(1)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line a finding; of many that want the same done the first few."""
    seen: Counter[tuple[str, str]] = Counter()
    whole = Counter((finding.severity, finding.remedy) for finding in findings)
    for finding in findings:
        kind = (finding.severity, finding.remedy)
        seen[kind] += 1
        if seen[kind] <= _SHOWN or whole[kind] == _SHOWN + 1:
            yield str(finding)
        elif seen[kind] == _SHOWN + 1:
            yield f"{finding.severity:8} … and {whole[kind] - _SHOWN} more like these; --json has them all"
