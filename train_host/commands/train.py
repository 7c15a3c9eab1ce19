"""``edgeml train``: from a dataset folder to a .keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import first_of


class _Folds(click.ParamType):
    """A number, or ``all``."""

    name = "number|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """As `training.Request` takes it."""
        if value == "all":
            return "all"
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor all", param, ctx)


@click.command(
    epilog="\b\nExample:\n"
    "  edgeml train data/ -o motion.keras --window 100 --hop 50 --augment rotation\n"
    "  edgeml train data/ --folds 5 --recipe int8           how well it does on people it never saw\n"
    "  edgeml train data/ -o again.keras --config motion.run.json    the same run once more\n"
    "  edgeml train data/ -o motion.keras --resume          go on after Ctrl-C, a kill, a power cut\n"
    "  edgeml train data/ -o new.keras --init-from motion.keras --compare-to motion.keras --replace\n"
    "  edgeml train --list data/                            what each architecture costs, and where it fits"
)
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The model: a .keras file."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML, or the .run.json of an earlier training.",
)
@click.option("--arch", help="The architecture, see --list; or your own: package.module:function.")
@click.option(
    "--base",
    type=click.Path(dir_okay=False),
    help="Transfer learning from this .keras: what it learned stays, and gets a new last layer.",
)
@click.option("--window", type=int, help="Samples in a window. Default: two seconds.")
@click.option("--hop", type=int, help="Samples from one window to the next. Default: half a window.")
@click.option("--epochs", type=int, help="At most so many. Default: 30, or more of few windows.")
@click.option("--validation", type=float, help="Share of the groups that decide when to stop. Default: 0.1.")
@click.option("--augment", help="Names from --list, with commas between them; none for none. Default: auto.")
@click.option(
    "--qat/--no-qat",
    default=None,
    help="Quantization-aware: then learn to say the same when rounded to int8.",
)
@click.option("--seed", type=int, help="Of split, weights, shuffling and augmentation. Default: 0.")
@click.option(
    "--folds", type=_Folds(), default="0", help="Cross-validate by group, so many times; all: once a group."
)
@click.option(
    "--recipe",
    help="Convert too, such as int8: the model to a .tflite beside it, and that of each fold to judge it.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Folds side by side. Default: one a core.")
@click.option(
    "--false-alarms", help="Choose the threshold so that alarms are false at most so often: 1/h, 2/day, 0.02."
)
@click.option(
    "--compare-to",
    type=click.Path(dir_okay=False),
    help="A champion, .keras: exit 1 unless the new model is better on groups that neither was trained on.",
)
@click.option("--max-group-drop", type=float, help="Accuracy that a group may lose then. Default: 0.05.")
@click.option("--replace", is_flag=True, help="Put the new model in the champion's place if it is better.")
@click.option(
    "--init-from",
    type=click.Path(dir_okay=False),
    help="Start from the weights, the shape and the split of a .keras that edgeml has trained.",
)
@click.option(
    "--class-weights", help="balanced, or LABEL=WEIGHT with commas between: rare labels count more."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed_float16", "mixed_bfloat16"]),
    help="Of the computation; what is saved is float32. Default: auto, half on a GPU made for it.",
)
@click.option("--jit/--no-jit", default=None, help="Compile with XLA. Default: on a GPU.")
@click.option("--memory-mb", type=int, help="More windows than that stream from the disk. Default: 1024.")
@click.option("--tensorboard", type=click.Path(path_type=Path, file_okay=False), help="A folder for curves.")
@click.option(
    "--distribute",
    metavar="mirrored[:N]|multi-worker",
    help="On all GPUs, or N; or with other machines, as TF_CONFIG says.",
)
@click.option("--resume", is_flag=True, help="Go on where the training of this model was interrupted.")
@click.option(
    "--checkpoint-s",
    type=click.FloatRange(min=0),
    default=30.0,
    help="Seconds between checkpoints within an epoch. Default: 30.",
)
@click.option(
    "--list",
    "show_list",
    is_flag=True,
    help="Show architectures, their costs and where they fit, with DATA for its windows; and augmentations.",
)
@json_option
def command(  # noqa: PLR0913 - click hands over each option
    data: Path | None,
    output: Path | None,
    config: Path | None,
    folds: int | str,
    recipe: str | None,
    workers: int | None,
    replace: bool,
    class_weights: str | None,
    tensorboard: Path | None,
    resume: bool,
    checkpoint_s: float,
    show_list: bool,
    as_json: bool,
    augment: str | None,
    base: str | None,
    **flags: Any,
) -> None:
    """Train a model on the dataset folder DATA.

    Groups (people, machines) are divided into training, validation and test; training stops early on the
    validation groups, and the figures come from the test groups. Beside MODEL.keras appear
    MODEL.training.html (how good it is, and where it fails), MODEL.run.json (everything needed to repeat
    the run) and pictures.

    Status 1 means that no threshold keeps --false-alarms, or that the champion stays; the model is there.
    """
    if show_list and data is None:
        _list(as_json)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA': a dataset folder.")
    if replace and not flags["compare_to"]:
        raise click.UsageError("--replace needs --compare-to CHAMPION.keras.")

    from train_host import config as configs
    from train_host import resuming, summary
    from train_host.progress import ProgressLine
    from train_host.training import Request, train

    names = None if augment is None else _names(augment)
    flags |= {"augment": names, "class_weights": _weights(class_weights)}
    begun = resuming.interrupted(output) if resume and output and config is None else None
    settings = _on(base, configs.load(resuming.config_of(begun) if begun else config, **flags))
    line = ProgressLine()
    if show_list:
        _list_for(data, settings, line, as_json)
        return
    request = Request(
        data,
        settings,
        output,
        folds,
        recipe,
        workers,
        resume=resume,
        events=tensorboard,
        checkpoint_s=checkpoint_s,
    )
    try:
        result = train(request, line)
    finally:
        line.end()
    if replace and result.get("challenge", {}).get("better"):
        _promote(result)
    if as_json:
        print_json(result)
    else:
        click.echo(_screen(result))
    if summary.failed(result):
        click.get_current_context().exit(1)


def _weights(text: str | None) -> str | dict[str, float] | None:
    """As `Config.class_weights` takes it."""
    if text is None or "=" not in text:
        return text
    pairs = [part.rpartition("=") for part in text.split(",")]
    try:
        return {label.strip(): float(weight) for label, _, weight in pairs}
    except ValueError as error:
        raise click.UsageError(f"--class-weights: expected LABEL=WEIGHT, found {text!r}.") from error


def _promote(result: dict[str, Any]) -> None:
    """The new model takes the champion's place."""
    from train_host.judging import challenge

    found = result["challenge"]
    champion = Path(found["champion"])
    previous = challenge.promote(Path(result["model"]), champion, found["digest"])
    found |= {"replaced": str(champion), "previous": str(previous)}


def _screen(result: dict[str, Any]) -> str:
    from train_host import summary

    lines = []
    if folds := result.get("folds"):
        lines += _cross_validated(folds)
    if result["model"]:
        lines += [
            f"{result['headline']}, n = {result['n']}: {summary.groups(result)}",
            *summary.lines(result),
            *_converted(result),
            f"{result['model']} in {result['seconds']:.0f} s",
            f"{result['report']}: how good it is, and where it fails",
            f"{result['record']}: to repeat it, as --config",
        ]
    return "\n".join(lines)


def _converted(result: dict[str, Any]) -> list[str]:
    found = result.get("converted")
    if found is None:
        return []
    known = [(name, found[name]) for name in ("accuracy", "error", "auc") if found.get(name) is not None]
    reached = f": {known[0][0]} {known[0][1]:.4g}" if known else ""
    return [f"{found['recipe']}{reached}, {found['bytes']:,} bytes in {found['output']}"]


def _cross_validated(folds: dict[str, Any]) -> list[str]:
    """A line a fold, and what comes of all."""
    converted = folds.get("converted")
    lines = []
    for n, fold in enumerate(folds["each"], 1):
        after = f", {converted['recipe']} {fold['converted']['value']:.3f}" if converted else ""
        lines.append(
            f"  fold {n}: {fold['value']:.3f}{after} on {first_of(fold['test'], 10)}, n = {fold['n']}"
        )
    all_of = f"{folds['figure']} in {len(folds['each'])} folds by {folds['by']}"
    lines.append(f"{all_of}: {folds['mean']:.3f} ± {folds['sd']:.3f}")
    if converted:
        said = f"{converted['recipe']}: {converted['mean']:.3f} ± {converted['sd']:.3f}"
        if folds["figure"] == "accuracy":
            said += f", {100 * converted['drop']:.1f} points lost"
        if span := converted.get("drop_interval"):
            said += f" (95 %, paired: {100 * span[0]:.1f} to {100 * span[1]:.1f})"
        lines.append(said)
    return lines


def _on(base: str | None, settings: Any) -> Any:
    """The settings with a model to start from."""
    if base is None:
        return settings
    if settings.arch not in (None, "transfer"):
        raise click.UsageError(f"--base is for --arch transfer, not {settings.arch}.")
    return msgspec.structs.replace(settings, arch="transfer", model={**settings.model, "base": base})


def _list(as_json: bool) -> None:
    from train_host import offers

    if as_json:
        print_json(offers.as_dict())
    else:
        click.echo("\n".join(offers.lines()))


def _list_for(data: Path, settings: Any, line: Any, as_json: bool) -> None:
    from train_host import offers

    try:
        facts, lines = offers.for_dataset(data, settings, line)
    finally:
        line.end()
    if as_json:
        print_json(facts)
    else:
        click.echo("\n".join(lines))


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return [] if names == ["none"] else names
