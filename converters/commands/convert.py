"""``edgeml convert``: a Keras model becomes a verified .tflite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from converters import recipes
from converters.compare import decibels
from edge_sdk.cli import json_option, print_json

_EPILOG = (
    "\b\nRecipes:\n  "
    + recipes.table().replace("\n", "\n  ")
    + "\n\n\b\nExample:\n  edgeml convert motion.keras -o motion.tflite --recipe int8 --max-drop 0.5pt"
)


class Points(click.ParamType[float]):
    """``1pt``, ``1%`` or ``0.01``, all the same: a fraction."""

    name = "DROP"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The fraction that `value` stands for."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(pts?|points?|%)?", str(value).strip())
        fraction = float(match[1]) / (100 if match[2] else 1) if match else 1.0
        if not 0 <= fraction < 1:
            self.fail(
                f"expected points such as 1pt, or a fraction below 1 such as 0.01, found {value!r}",
                param,
                ctx,
            )
        return fraction


@click.command(epilog=_EPILOG)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.keras")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="OUT.tflite",
    help="File to write.",
)
@click.option(
    "--recipe",
    default="int8",
    show_default=True,
    metavar="NAME",
    help="How weights and activations are stored.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="DIR", help="Dataset folder; default: the model's own."
)
@click.option(
    "--max-drop",
    type=Points(),
    default="1pt",
    show_default=True,
    help="Largest loss of accuracy that passes.",
)
@click.option(
    "--calibration",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of representative windows.",
)
@click.option(
    "--timeout", "timeout_s", type=float, default=900.0, show_default=True, help="For TensorFlow's part, s."
)
@click.option("--report/--no-report", default=True, help="Write OUT.report.html beside the model.")
@json_option
@click.pass_context
def command(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Convert a Keras model to a verified .tflite.

    The result is run on the test split beside the original; it is written only if its accuracy did not drop
    by more than --max-drop (exit 1 otherwise). Contract, golden vectors and labels travel in the file.
    """
    from converters.convert import Request, convert
    from converters.result import DropError, Result

    def show(result: Result) -> None:
        click.echo("\n".join(lines(result)))

    request = Request(**options, on_progress=lambda step: click.echo(f"{step} …", err=True))
    try:
        result = convert(request)
    except DropError as error:
        if not as_json:
            show(error.result)
            raise
        # One object on standard output: the figures and the error together.
        print_json({**error.result.as_dict(), **error.as_dict()})
        click.echo(f"edgeml: {error}", err=True)
        context.exit(error.exit_code)
    if as_json:
        print_json(result.as_dict())
    else:
        show(result)


def lines(result: Any) -> list[str]:
    """The result as an aligned table for people."""
    figures = result.as_dict()
    rows = [("recipe", f"{result.recipe.name}: {result.recipe.meaning}")]
    if figures["accuracy"] is not None:
        rows += [
            ("accuracy", f"{_share(figures['accuracy_original'], figures['interval_original'])}  original"),
            ("", f"{_share(figures['accuracy'], figures['interval'])}  {result.recipe.name}"),
            ("compared on", f"{figures['n']} windows of the {figures['basis']}"),
        ]
    else:
        rows.append(("compared on", f"{figures['n']} windows of {figures['basis']}; accuracy unknown"))
    if figures["agreement"] is not None:
        rows.append(("agreement", f"{figures['agreement']:.1%} same label"))
    rows += [
        ("error", f"{decibels(result.verdict.difference.sqnr_db)}, at most {figures['max_error']:.4g}"),
        ("size", f"{figures['bytes']:,} bytes, of which the model {len(result.flatbuffer):,}"),
        ("digest", figures["digest"][:19] + "…"),
        (
            "gate",
            f"passed, {_gate(result)}" if result.passed else f"FAILED, {_gate(result)}: nothing written",
        ),
    ]
    if result.passed:
        rows.append(("written", str(result.output)))
        if result.report is not None:
            rows.append(("report", str(result.report)))
    rows += [("note", note) for note in result.notes]
    return [f"{name:<12} {text}" for name, text in rows]


def _gate(result: Any) -> str:
    if result.verdict.drop is None:
        return f"at least {result.recipe.least_sqnr_db:g} dB asked"
    return f"a drop of at most {100 * result.max_drop:g} points asked"


def _share(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
