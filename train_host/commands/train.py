"""``edgeml train``: from a dataset folder to a .keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json


@click.command(
    epilog="\b\nExample:\n"
    "  edgeml train data/ -o motion.keras --window 100 --hop 50 --augment rotation\n"
    "  edgeml train data/ --folds 5                         how well it does on people it never saw\n"
    "  edgeml train data/ -o again.keras --config run.json  the same run once more"
)
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The model: a .keras file."
)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML, or an earlier run.json."
)
@click.option("--arch", help="The architecture; see --list.")
@click.option("--window", type=int, help="Samples in a window. Default: two seconds.")
@click.option("--hop", type=int, help="Samples from one window to the next. Default: half a window.")
@click.option("--epochs", type=int, help="At most so many. Default: 30.")
@click.option("--augment", help="Names from --list, with commas between them.")
@click.option("--seed", type=int, help="Of split, weights, shuffling and augmentation. Default: 0.")
@click.option("--folds", type=int, default=0, help="Cross-validate by group, so many times.")
@click.option("--list", "show_list", is_flag=True, help="Show architectures and augmentations.")
@json_option
def command(  # noqa: PLR0913 - click hands over each option
    data: Path | None,
    output: Path | None,
    config: Path | None,
    folds: int,
    show_list: bool,
    as_json: bool,
    augment: str | None,
    **flags: Any,
) -> None:
    """Train a classifier on the dataset folder DATA.

    Groups (people, machines) are divided into training, validation and test; training stops early on the
    validation groups, and the figures come from the test groups. Beside the model appear run.json (everything
    needed to repeat the run), history.png and confusion.png.
    """
    if show_list:
        _list(as_json)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA': a dataset folder.")

    from train_host import config as configs
    from train_host.progress import ProgressLine
    from train_host.training import Request, train

    names = None if augment is None else [name.strip() for name in augment.split(",") if name.strip()]
    settings = configs.load(config, augment=names, **flags)
    line = ProgressLine(settings.epochs)
    try:
        result = train(Request(data, settings, output, folds), line)
    finally:
        line.end()
    if as_json:
        print_json(result)
    else:
        click.echo(_screen(result))


def _screen(result: dict[str, Any]) -> str:
    lines = []
    if folds := result.get("folds"):
        lines += [
            f"  fold {n}: {fold['accuracy']:.3f} on {', '.join(fold['test'])}"
            for n, fold in enumerate(folds["each"], 1)
        ]
        lines.append(f"{len(folds['each'])} folds by {folds['by']}: {folds['mean']:.3f} ± {folds['sd']:.3f}")
    if result["model"]:
        low, high = result["interval"]
        groups = ", ".join(f"{name} {share:.3f}" for name, share in result["per_group"].items())
        lines += [
            f"accuracy {result['accuracy']:.3f} (95 %: {low:.3f} to {high:.3f}), n = {result['n']}: {groups}",
            f"{result['model']}, run.json, history.png, confusion.png in {result['seconds']:.0f} s",
        ]
    return "\n".join(lines)


def _list(as_json: bool) -> None:
    from train_host import architectures, prepare

    if as_json:
        about = {
            name: {"takes": list(entry.takes), "about": entry.about}
            for name, entry in architectures.TABLE.items()
        }
        print_json({"architectures": about, "augmentations": prepare.AUGMENTATIONS})
        return
    click.echo("architectures")
    for name, entry in architectures.TABLE.items():
        click.echo(f"  {name:10} {entry.about}")
    click.echo("augmentations")
    for name, about_it in prepare.AUGMENTATIONS.items():
        click.echo(f"  {name:10} {about_it}")
