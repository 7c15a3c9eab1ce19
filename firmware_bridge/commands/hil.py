"""``edgeml hil``: the same cases on a target and on the host, and the gates that they must pass."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, show
from edge_sdk.errors import EdgeError, printable
from edge_sdk.modelfile import check_writable, write_atomic

if TYPE_CHECKING:
    from firmware_bridge.hil import Report
    from firmware_bridge.parity import Parity

_COUNT = click.IntRange(0)


@click.command(
    epilog="\b\nExample:\n  edgeml hil motion.tflite --target virtual:cortex-m4 --max-arena 8192"
    "\n  edgeml hil motion.tflite --target qemu:mps2-an500 --data motion --min-accuracy 0.8 --junit hil.xml"
    "\n  edgeml hil motion.tflite --target serial:///dev/ttyACM0 --max-latency-us 20000 --json"
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option(
    "--target",
    default="virtual:cortex-m4",
    show_default=True,
    metavar="URL",
    help="virtual:cortex-m4, qemu:mps2-an500, serial:///dev/ttyACM0, ssh://pi@host, host:?runtime=c.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.npz",
    help="A dataset folder, whose test split is run, or an .npz with an array for each input and 'labels'.",
)
@click.option(
    "--cases",
    "most",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Windows of the data that are run, spread over all.",
)
@click.option(
    "--reference",
    metavar="URL",
    help="What the target must agree with; default: the generated C on this machine, "
    "or LiteRT where the target runs LiteRT.",
)
@click.option(
    "--max-mismatch",
    "mismatch",
    type=_COUNT,
    default=0,
    show_default=True,
    help="Cases that may differ.",
)
@click.option("--max-latency-us", "latency_us", type=click.FloatRange(0), help="Median of an inference.")
@click.option("--max-instructions", "instructions", type=_COUNT, help="Of the longest inference.")
@click.option("--max-flash", "flash", type=_COUNT, help="Code and constants, bytes.")
@click.option("--max-arena", "arena", type=_COUNT, help="Static memory of the model, bytes.")
@click.option("--max-stack", "stack", type=_COUNT, help="Deepest use of the stack, bytes.")
@click.option("--min-accuracy", "accuracy", type=click.FloatRange(0, 1), help="Share of right answers.")
@click.option(
    "--faults",
    metavar="drop=0.0001,…",
    help="Damage what passes between here and a board: drop, corrupt, double, truncate, repeat, reset "
    "(probabilities), delay (s), seed.",
)
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the gates as JUnit XML, which CI servers read.",
)
@json_option
@click.pass_context
def command(
    context: click.Context, /, model: Path, target: str, faults: str | None, as_json: bool, **options: Any
) -> None:
    """Run a model's golden vectors and a test set on a target, and compare.

    Where the target runs generated C, its outputs must be those of the same C on this machine, bit for bit;
    the golden vectors, which LiteRT made, must be met within their tolerance. A limit on what the target
    cannot tell is an error. Exit 1 where a gate fails.
    """
    from firmware_bridge import hil
    from firmware_bridge import junit as suites
    from firmware_bridge.gates import Limits

    junit = options.pop("junit")
    target = hil.with_faults(target, faults) if faults else target
    names = {field.name for field in fields(Limits)}
    limits = Limits(**{name: options.pop(name) for name in names})

    def tell(step: str) -> None:
        click.echo(f"{printable(step)} …", err=True)

    if junit is not None:
        check_writable(junit.parent, junit)
    try:
        report = hil.run(hil.Request(model, target, limits=limits, tell=tell, **options))
    except EdgeError as error:
        if junit is not None:
            write_atomic(junit, suites.of_error(model.name, target, error))
        raise
    if junit is not None:
        write_atomic(junit, suites.of_report(report))
    show(context, report, lambda: lines(report), as_json=as_json)


def lines(report: Report) -> list[str]:
    """The report as an aligned table for people."""
    cost = report.measurement
    rows = [
        ("model", f"{report.subject.file}, {report.subject.digest[:19]}…"),
        ("target", report.target),
        ("reference", report.reference),
        ("cases", report.basis),
        ("parity", _parity(report.parity)),
    ]
    if report.golden is not None:
        rows.append(("golden", _parity(report.golden)))
    if report.evaluation is not None:
        low, high = report.evaluation.interval
        rows.append(("accuracy", f"{report.evaluation.accuracy:.3f} [{low:.3f}, {high:.3f}]"))
    if cost.instructions is not None:
        rows.append(("instructions", f"{cost.instructions:,} an inference"))
    if cost.latency_us is not None:
        longest = "" if cost.latency_max_us is None else f", {cost.latency_max_us:,.1f} at most"
        rows.append(("latency", f"{cost.latency_us:,.1f} µs{longest}"))
    rows += [
        (name.removesuffix("_bytes"), f"{getattr(cost, name):,} bytes")
        for name in ("flash_bytes", "arena_bytes", "stack_bytes")
        if getattr(cost, name) is not None
    ]
    counted = [f"{count:,} {name}" for name, count in cost.link.items() if count]
    if counted:
        rows.append(("link", ", ".join(counted)))
    for gate in report.gates:
        verdict = "passed" if gate.passed else "FAILED"
        detail = "" if gate.passed or gate.detail is None else f"; {gate.detail}"
        rows.append(("gate", f"{verdict}: {gate.name}: {gate.found}, {gate.expected}{detail}"))
    if report.note:
        rows.append(("note", report.note))
    return [f"{name:<14} {printable(text)}" for name, text in rows]


def _parity(found: Parity) -> str:
    text = str(found)
    if found.different:
        share = f"{found.different:,} of {found.elements:,} numbers differ"
        text += f"; {share}, {found.off_by_one:,} by one step, at most {found.max_difference:.4g}"
    if found.argmax_agreement is not None:
        text += f"; {found.argmax_agreement:.1%} same label"
    return text
