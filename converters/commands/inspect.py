"""``edgeml inspect``: what a model is, costs and promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json


@click.command(epilog="\b\nExample:\n  edgeml inspect motion.tflite --board cortex-m4")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option("--board", metavar="NAME", help="Judge this board only, such as cortex-m4, esp32-s3 or rpi4.")
@json_option
def command(model: Path, board: str | None, as_json: bool) -> None:
    """Show what a .tflite is, costs and promises, without running it.

    The arena is a plan by liveness, not a measurement. Of a .keras file only its contract is shown.
    """
    from converters.inspect import inspect

    facts = inspect(model, board)
    if as_json:
        print_json(facts.as_dict())
    else:
        click.echo("\n".join(lines(facts)))


def lines(facts: Any) -> list[str]:
    """The facts as an aligned table for people."""
    rows = [("file", f"{facts.file}, {facts.size_bytes:,} bytes")]
    if facts.digest is not None:
        rows += [
            ("digest", facts.digest),
            *(
                (side, _port(port))
                for side, ports in (("input", facts.inputs), ("output", facts.outputs))
                for port in ports
            ),
            ("operators", ", ".join(f"{count} {name}" for name, count in facts.ops.items())),
            ("parameters", f"{facts.parameters:,}"),
            ("MACs", f"{facts.macs:,} an inference"),
            ("arena", f"{facts.arena_bytes:,} bytes, planned"),
        ]
    contract = facts.contract
    if contract is not None:
        rate = f" at {contract.input.rate_hz:g} Hz" if contract.input.rate_hz else ""
        channels = ", ".join(f"{c.name} [{c.unit}]" if c.unit else c.name for c in contract.input.channels)
        rows += [
            ("contract", f"{contract.name} {contract.version}, {contract.task}"),
            ("window", f"{contract.input.window} samples{rate}, hop {contract.input.hop}: {channels}"),
        ]
        if contract.output.labels:
            rows.append(("labels", ", ".join(contract.output.labels)))
        lineage = contract.lineage
        if lineage is not None and lineage.accuracy is not None:
            spread = f" [{lineage.interval[0]:.3f}, {lineage.interval[1]:.3f}]" if lineage.interval else ""
            rows.append(("accuracy", f"{lineage.accuracy:.3f}{spread} on {lineage.n} windows"))
        if lineage is not None and lineage.recipe is not None:
            rows.append(("recipe", lineage.recipe))
    for name, fit in facts.boards.items():
        rows.append((name, ("runs: " if fit.runs else "does not run: ") + "; ".join(fit.reasons)))
    rows += [("note", note) for note in facts.notes]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _port(port: dict[str, Any]) -> str:
    text = f"{port['name']} {port['dtype']} {port['shape']}"
    return (
        text if port["scale"] is None else f"{text}, scale {port['scale']:g}, zero point {port['zero_point']}"
    )
