"""Prints the table of ratios; ``--json`` for scripts."""

from __future__ import annotations

import dataclasses
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks import (
    c_library,
    conversion,
    delivery,
    fleet,
    gateway,
    invoke,
    link,
    models,
    outbox,
    runner,
    soak,
    start,
    training,
    windows,
)
from benchmarks.measure import Row
from edge_sdk.cli import json_option, print_json


@click.command()
@click.argument("only", nargs=-1)
@json_option
def main(only: tuple[str, ...], as_json: bool) -> None:
    """Measure speed and memory side by side and print ratios beside their budgets; ONLY some of the parts."""
    with tempfile.TemporaryDirectory() as scratch:
        click.echo("building the models …", err=True)
        files = models.build(Path(scratch))
        rows: list[Row] = []
        for title, measured in (
            ("invoke", lambda: invoke.rows(files)),
            ("start", lambda: start.rows(files["mlp"], models.pack(files["mlp"]))),
            ("delivery", lambda: delivery.rows(files["mlp"])),
            ("gateway", lambda: gateway.rows(files)),
            ("fleet", fleet.rows),
            ("outbox", outbox.rows),
            ("soak", soak.rows),
            ("runner", lambda: runner.rows(files["conv1d"])),
            ("windows", windows.rows),
            ("conversion", lambda: conversion.rows(Path(scratch))),
            ("c_library", c_library.rows),
            ("link", lambda: link.rows(files)),
            ("training", lambda: training.rows(Path(scratch))),
        ):
            # The soak takes minutes, or the hour that EDGEML_SOAK_S asks for: only when it is named.
            if title not in only if only else title == "soak":
                continue
            click.echo(f"measuring {title} …", err=True)
            rows += measured()
    if as_json:
        print_json(
            {
                "machine": platform.processor() or platform.machine(),
                "rows": [dataclasses.asdict(row) for row in rows],
            }
        )
    else:
        click.echo(_table(rows))


def _table(rows: Sequence[Row]) -> str:
    marks = {True: "met", False: "MISSED", None: ""}
    cells = [("what", "edgeml", "compared with", "ratio", "budget", "")]
    cells += [(r.what, r.ours, r.other, r.result, r.budget, marks[r.met]) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(6)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


if __name__ == "__main__":
    main()
