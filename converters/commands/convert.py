"""``edgeml convert``: any model becomes a verified .tflite, a C array of one, or a C library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from converters import recipes
from converters.compare import decibels
from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import printable

_EPILOG = (
    "\b\nRecipes:\n  "
    + recipes.table().replace("\n", "\n  ")
    + "\n\n\b\nExample:"
    + "\n  edgeml convert motion.keras -o motion.tflite --recipe int8 --max-drop 0.5pt"
    + "\n  edgeml convert kws.onnx -o kws.tflite --recipe auto --data kws.npz --board cortex-m4"
    + "\n  edgeml convert nets:build -o net.tflite --recipe float16"
    + "\n  edgeml convert motion.keras -o motion_c --to c"
    + "\n  edgeml convert someones_int8.tflite -o model_c --to c"
    + "\n  edgeml convert keywords.tflite -o keywords_c --to c --cut"
)


#: What a model may be judged by.
_FIGURES = ("accuracy", "error", "auc")


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


class Shape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """``NAME=1,96,96,3``: the sizes of an input that leaves some open."""

    name = "SHAPE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """The input's name and its sizes."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(.+)=(\d+(?:,\d+)*)", str(value).strip())
        sizes = tuple(int(size) for size in match[2].split(",")) if match else (0,)
        if match is None or 0 in sizes:
            self.fail(f"expected NAME=1,96,96,3 with sizes from 1, found {value!r}", param, ctx)
        return match[1], sizes


@click.command(epilog=_EPILOG)
@click.argument("model", metavar="MODEL")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="OUT.tflite",
    help="File to write; with --to c or c-array the folder.",
)
@click.option(
    "--recipe",
    default="int8",
    show_default=True,
    metavar="NAME",
    help="How weights and activations are stored, or auto.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.npz",
    help="Dataset folder, or an .npz with an array for each input and 'labels'; default: the model's own.",
)
@click.option(
    "--max-drop",
    type=Points(),
    default="1pt",
    show_default=True,
    help="Largest loss of accuracy that passes.",
)
@click.option(
    "--max-growth",
    type=Points(),
    default="5%",
    show_default=True,
    help="By how much the error of a regression may grow, in per cent of it.",
)
@click.option(
    "--calibration",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of representative inputs.",
)
@click.option("--per-tensor", is_flag=True, help="One scale a weight tensor, for engines that know no other.")
@click.option("--board", metavar="NAME", help="What it is for, such as cortex-m4 or rpi4: it must run there.")
@click.option("--target", default="host:", show_default=True, help="Where --recipe auto measures latency.")
@click.option(
    "--to",
    type=click.Choice(["tflite", "c-array", "c"]),
    default="tflite",
    show_default=True,
    help="A .tflite, C files of it for TFLite Micro, or a C library that needs no runtime.",
)
@click.option(
    "--cut",
    is_flag=True,
    help="Begin the C library at the last float tensor, such as a spectrogram; what is ahead is yours.",
)
@click.option("--signature", metavar="NAME", help="Of a SavedModel that has several.")
@click.option(
    "--shape",
    "shapes",
    type=Shape(),
    multiple=True,
    metavar="NAME=1,96,96,3",
    help="Sizes of an input that leaves some open.",
)
@click.option(
    "--batch",
    type=click.Choice([1]),
    metavar="1",
    help="Fix the batch axis to 1; it stays dynamic otherwise.",
)
@click.option(
    "--timeout", "timeout_s", type=float, default=900.0, show_default=True, help="For each step, s."
)
@click.option("--report/--no-report", default=True, help="Write OUT.report.html beside the model.")
@json_option
@click.pass_context
def command(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Convert a model to a verified .tflite.

    MODEL is a .keras, .h5, .onnx, .pt2 or float .tflite, a SavedModel folder, or module:function for PyTorch.

    The result is run on the test split beside the original; it is written only if its accuracy did not drop
    by more than --max-drop (exit 1 otherwise). Contract, golden vectors and labels travel in the file.

    With --to c, a .tflite that is int8 already becomes a C library as it is, with nothing to compare.
    """
    from converters.c import export
    from converters.conversion import perform
    from converters.report import DropError, Report
    from converters.request import Request, check

    def show(report: Report) -> None:
        click.echo("\n".join(lines(report)))

    options["shapes"] = dict(options["shapes"])
    request = Request(**options, on_progress=lambda step: click.echo(f"{printable(step)} …", err=True))
    if request.to == "c" and export.is_quantized(request.model):
        check(request)
        exported = export.export(request.model, request.output, cut=request.cut)
        if as_json:
            print_json(exported.as_dict())
        else:
            click.echo("\n".join(_exported(exported)))
        return
    try:
        report = perform(request)
    except DropError as error:
        if not as_json:
            show(error.report)
            raise
        # One object on standard output: the figures and the error together.
        print_json({**error.report.as_dict(), **error.as_dict()})
        click.echo(f"edgeml: {error}", err=True)
        context.exit(error.exit_code)
    if as_json:
        print_json(report.as_dict())
    else:
        show(report)


def _exported(exported: Any) -> list[str]:
    """What was written without a conversion, as an aligned table."""
    figures = exported.figures
    rows = [
        ("constants", f"{figures['flash_bytes']:,} bytes; the kernels come to a few kB on top"),
        ("arena", f"{figures['arena_bytes']:,} bytes, of which {figures['floor_bytes']:,} are alive at once"),
        ("kernel calls", f"{figures['kernel_calls']}"),
        ("digest", exported.digest[:19] + "…"),
        ("written", str(exported.output)),
    ]
    return [f"{name:<14} {printable(text)}" for name, text in rows]


def lines(report: Any) -> list[str]:
    """The report as an aligned table for people."""
    figures = report.as_dict()
    rows = [("recipe", f"{report.recipe.name}: {report.recipe.meaning}")]
    if figures["accuracy"] is not None:
        rows += [
            ("accuracy", f"{_share(figures['accuracy_original'], figures['interval_original'])}  original"),
            ("", f"{_share(figures['accuracy'], figures['interval'])}  {report.recipe.name}"),
            (
                "lost",
                f"{_points(figures['drop'])} [{', '.join(map(_points, figures['drop_interval']))}] points",
            ),
            ("compared on", f"{figures['n']} inputs of the {figures['basis']}"),
        ]
    elif (judged := report.verdict.judged) is not None:
        rows += [
            ("reached", f"{judged.before.headline()}  original"),
            ("", f"{judged.after.headline()}  {report.recipe.name}"),
            ("lost", _lost(judged)),
            ("compared on", f"{figures['n']} inputs of the {figures['basis']}"),
        ]
    else:
        rows.append(("compared on", f"{figures['n']} inputs of {figures['basis']}; accuracy unknown"))
    if figures["agreement"] is not None:
        rows.append(("agreement", f"{figures['agreement']:.1%} same label"))
    rows.append(
        ("error", f"{decibels(report.verdict.difference.sqnr_db)}, at most {figures['max_error']:.4g}")
    )
    if figures["calibration"]:
        counts = ", ".join(f"{count} {label}" for label, count in figures["calibration"].items())
        rows.append(("calibrated on", counts))
    rows += [
        ("size", f"{figures['bytes']:,} bytes, of which the model {len(report.flatbuffer):,}"),
        ("digest", figures["digest"][:19] + "…"),
    ]
    if len(report.trials) > 1:
        rows += [("tried" if not i else "", line) for i, line in enumerate(_tried(figures["trials"]))]
    rows.append(
        ("gate", f"passed, {_gate(report)}" if report.passed else f"FAILED, {_gate(report)}: nothing written")
    )
    if report.passed:
        rows.append(("written", str(report.output)))
        if report.page is not None:
            rows.append(("report", str(report.page)))
    rows += [("note", note) for note in report.notes]
    # Labels and names of layers come from the file.
    return [f"{name:<14} {text if text.isprintable() else printable(text)}" for name, text in rows]


def _tried(trials: list[dict[str, Any]]) -> list[str]:
    """The Pareto table: * the one that was taken, + others that nothing beats."""
    reached = next((name for name in _FIGURES if trials[0].get(name) is not None), "accuracy")
    cells = [("", "recipe", "bytes", "latency", reached, "lost", "")]
    for trial in trials:
        mark = "*" if trial["chosen"] else "+" if trial["pareto"] else ""
        size, latency = trial["bytes"], trial["latency_us"]
        figure = next((trial[name] for name in _FIGURES if trial.get(name) is not None), None)
        unit = "" if figure is not None else " dB"
        figure = trial["sqnr_db"] if figure is None else figure
        lost = trial["drop"] if trial["drop"] is not None else trial.get("growth")
        cells.append(
            (
                mark,
                trial["recipe"],
                "" if size is None else f"{size:,}",
                "" if latency is None else f"{latency:.1f} µs",
                "" if figure is None else f"{figure:.3f}" if not unit else f"{figure:.1f}{unit}",
                "" if lost is None else f"{_points(lost)} {'%' if 'growth' in trial else 'pt'}",
                (trial["failure"] or "")[:70],
            )
        )
    widths = [max(len(row[i]) for row in cells) for i in range(7)]
    left = (0, 1, 6)
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _gate(report: Any) -> str:
    from converters.report import allowed

    if report.verdict.drop is None and report.verdict.judged is None:
        return f"at least {report.recipe.least_sqnr_db:g} dB asked"
    return f"{allowed(report)} asked"


def _lost(judged: Any) -> str:
    """In points, or of a regression in per cent of its error."""
    unit = "% of the error" if judged.after.figure == "error" else "points"
    interval = "" if judged.interval is None else f" [{', '.join(map(_points, judged.interval))}]"
    return f"{_points(judged.lost)}{interval} {unit}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _share(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
