"""``edgeml inspect``: what a model is, costs and promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json


@click.command(
    epilog="\b\nExample:\n  edgeml inspect motion.tflite\n"
    "  edgeml inspect motion.tflite --board cortex-m4 --layers\n"
    "  edgeml inspect motion.tflite --board ethos-u55-128      compiles it with Vela"
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option("--board", metavar="NAME", help="This board only: cortex-m4, esp32-s3, rpi4, ethos-u55-128, …")
@click.option(
    "--measure/--no-measure",
    default=None,
    help="Ask each board's engine itself: LiteRT what XNNPACK takes, Vela what the NPU runs. "
    "Done where --board is given.",
)
@click.option("--layers", is_flag=True, help="A table of every operator and its share of the costs.")
@json_option
def command(model: Path, board: str | None, measure: bool | None, layers: bool, as_json: bool) -> None:
    """Show what a .tflite is, costs and promises, and which boards can run it.

    What a board's facts decide is decided without running anything. The arena is a plan by liveness; for
    TFLite Micro it is an upper estimate. Of a .keras file only its contract is shown.
    """
    from converters.inspect import inspect

    facts = inspect(model, board, measure=board is not None if measure is None else measure)
    if as_json:
        print_json(facts.as_dict())
    else:
        click.echo(
            "\n".join(lines(facts) + (["", *table(facts.layers, facts.instructions)] if layers else []))
        )


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
            (
                "arena",
                f"{facts.arena_bytes:,} bytes, planned; in TFLite Micro {facts.tflm_arena_bytes:,} at most",
            ),
            ("peak", facts.peak or "none"),
        ]
    if facts.instructions:
        total = _about(sum(facts.instructions.values()))
        rows.append(("instructions", f"about {total} an inference in edgeml's C library, estimated"))
    rows += _contract(facts.contract)
    for name, fit in facts.boards.items():
        rows += _verdict(name, fit, alone=len(facts.boards) == 1)
    rows += [("note", note) for note in facts.notes]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def table(layers: Any, instructions: Any = None) -> list[str]:
    """Every operator's share as an aligned table; numbers to the right."""
    head = ["#", "operator", "output", "dtype", "MACs", "weights, bytes", "alive, bytes", "tensor"]
    rows = [head]
    rows += [
        [
            str(layer.index),
            layer.op,
            "x".join("?" if axis < 0 else str(axis) for axis in layer.shape),
            layer.dtype,
            f"{layer.macs:,}",
            f"{layer.weight_bytes:,}",
            f"{layer.alive_bytes:,}",
            _short(layer.name),
        ]
        for layer in layers
    ]
    right = {0, 4, 5, 6}
    if instructions:
        cells = ["estimated instructions", *(_about(instructions.get(layer.index, 0)) for layer in layers)]
        rows = [[*row[:7], cell, row[7]] for row, cell in zip(rows, cells, strict=True)]
        right.add(7)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def _contract(contract: Any) -> list[tuple[str, str]]:
    if contract is None:
        return []
    rate = f" at {contract.input.rate_hz:g} Hz" if contract.input.rate_hz else ""
    channels = ", ".join(f"{c.name} [{c.unit}]" if c.unit else c.name for c in contract.input.channels)
    rows = [
        ("contract", f"{contract.name} {contract.version}, {contract.task}"),
        ("window", f"{contract.input.window} samples{rate}, hop {contract.input.hop}: {channels}"),
    ]
    if contract.output.labels:
        rows.append(("labels", ", ".join(contract.output.labels)))
    if contract.output.values:
        named = (f"{v.name} [{v.unit}]" if v.unit else v.name for v in contract.output.values)
        rows.append(("values", ", ".join(named)))
    if contract.task == "anomaly":
        rows.append(("threshold", f"{contract.decision.threshold:g}"))
    lineage = contract.lineage
    for name, title in _REACHED.items():
        reached = None if lineage is None else getattr(lineage, name)
        if lineage is not None and reached is not None:
            spread = f" [{lineage.interval[0]:.4g}, {lineage.interval[1]:.4g}]" if lineage.interval else ""
            rows.append((title, f"{reached:.4g}{spread} on {lineage.n} windows"))
    if lineage is not None and lineage.recipe is not None:
        rows.append(("recipe", lineage.recipe))
    return rows


#: What a model may be judged by, as its lineage has it, for people.
_REACHED = {"accuracy": "accuracy", "error": "mean error", "auc": "AUC"}


def _verdict(name: str, fit: Any, *, alone: bool) -> list[tuple[str, str]]:
    """One line for a board among many; everything that is known about one that was asked for."""
    verdict = "runs" if fit.runs else "does not run"
    if not alone:
        remedy = f"; to do: {fit.remedies[0]}" if fit.remedies and not fit.runs else ""
        return [(name, f"{verdict}: {'; '.join(fit.reasons)}{remedy}")]
    rows = [(name, f"{verdict}: {fit.reasons[0]}")]
    rows += [("", reason) for reason in fit.reasons[1:]]
    rows += [("to do", remedy) for remedy in fit.remedies]
    for other, also in fit.others.items():
        rows.append((other, f"{'runs' if also.runs else 'does not run'}: {'; '.join(also.reasons)}"))
    return rows


def _port(port: dict[str, Any]) -> str:
    text = f"{port['name']} {port['dtype']} {port['shape']}"
    if port["scale"] is None:
        return text
    return f"{text}, scale {port['scale']:g}, zero point {port['zero_point']}"


def _about(count: int) -> str:
    """Two digits of a number: an estimate knows no more."""
    return f"{float(f'{count:.2g}'):,.0f}"


def _short(name: str, longest: int = 40) -> str:
    """The first of a fused tensor's names, cut from the left: its end tells more."""
    first = " ".join(name.split(";")[0].split())
    return first if len(first) <= longest else "…" + first[-longest + 1 :]
