"""``edgeml bench``: what a model costs on a target, and whether its answers are right there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, show
from edge_sdk.errors import ConfigError, printable


@click.command(
    epilog="\b\nExample:\n  edgeml bench motion.tflite"
    "\n  edgeml bench motion.tflite --target 'ssh://pi@raspberrypi?threads=4' --duration 60 -o pi"
    "\n  edgeml bench motion.tflite --compare motion-float.tflite"
    "\n  edgeml bench motion.tflite --compare pi.json --json | jq .compare.ratios.p50"
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option(
    "--target",
    default="host:",
    show_default=True,
    metavar="URL",
    help="host:, host:?runtime=c, ssh://pi@host, virtual:cortex-m4, qemu:mps2-an500, serial:///dev/ttyACM0.",
)
@click.option("--runs", type=click.IntRange(1), help="Inferences to measure, instead of a time.")
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0, 86400, min_open=True),
    metavar="S",
    help="Seconds to measure each model for.  [default: 3]",
)
@click.option(
    "--warmup",
    "warmup_s",
    type=click.FloatRange(0, 3600),
    default=0.5,
    show_default=True,
    metavar="S",
    help="Seconds before that, which do not count.",
)
@click.option(
    "--compare",
    "other",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Another .tflite, measured in turn with this one; or an earlier report, .json.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="NAME",
    help="Write NAME.json, and NAME.svg: how latencies are distributed, and how they went over time.",
)
@json_option
@click.pass_context
def command(
    context: click.Context, /, model: Path, target: str, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Measure a model where it runs: latency, memory, the machine's state, and its golden vectors.

    The time is that of one inference: set inputs, invoke, get outputs, by the clock of the machine that runs
    it. An emulated board counts instructions instead. Exit 1 where a golden output is not met.
    """
    from edge_sdk.bench import benchmark
    from edge_sdk.bench.plan import Plan

    other = options.pop("other")
    if options["runs"] is not None and options["duration_s"] is not None:
        raise ConfigError("--runs and --duration", expected="one of them", found="both")
    plan = Plan(**{name: value for name, value in options.items() if value is not None})
    if output is not None:
        benchmark.check_output(output)
    found = benchmark.run(benchmark.Request(model, target, plan, other, _tell))
    if output is not None:
        for file in benchmark.write(found, output):
            click.echo(f"wrote {printable(str(file))}", err=True)
    show(context, found, found.lines, as_json=as_json)


def _tell(step: str) -> None:
    click.echo(f"{printable(step)} …", err=True)
