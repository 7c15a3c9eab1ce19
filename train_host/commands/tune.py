"""``edgeml tune``: a search for the model that is good enough and small enough."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import ConfigError
from train_host.tuning import goals

if TYPE_CHECKING:
    from train_host.tuning.search import Search


def _listing() -> str:
    """The figures that a search can be for."""
    own = [
        f"{', '.join(figure for figure in goals.of_task(task) if goals.FIGURES[figure].tasks)} ({task})"
        for task in ("classification", "multilabel", "regression", "anomaly")
    ]
    costs = [name for name, figure in goals.FIGURES.items() if not figure.tasks]
    return f"{'; '.join(own)}; {', '.join(costs)}"


@click.command(
    epilog="\b\nExample:\n"
    "  edgeml tune data -o search --trials 30 --window 100 --workers 2\n"
    "  edgeml tune data -o search --objective accuracy --objective instructions \\\n"
    "      --target virtual:cortex-m4 --limit arena_bytes=16Ki --limit flash_bytes=64Ki\n"
    "  edgeml tune data -o search --config tune.toml --ray auto"
)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A folder; a search that is there goes on.",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="So many in all.")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="FIGURE",
    help="What is searched for, the foremost first. Default: the first of its task, and bytes. One of "
    + _listing()
    + ".",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="FIGURE=NUMBER",
    help="What no model may pass, such as arena_bytes=64Ki or accuracy=0.8.",
)
@click.option("--board", help="A board that must run it; see: edgeml inspect --help.")
@click.option(
    "--target",
    metavar="URL",
    help="Where models are measured, as by edgeml bench: virtual:cortex-m4, host:, ssh://pi@host, …",
)
@click.option(
    "--flash",
    metavar="COMMAND",
    help="Puts each model onto the board of a serial: target; {model} stands for its .tflite.",
)
@click.option("--recipe", default="int8", show_default=True, help="Of the conversion.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of the training, with a table [search].",
)
@click.option("--arch", help="The architecture, where none is searched for.")
@click.option("--window", type=int, help="Samples in a window. Default: two seconds.")
@click.option("--hop", type=int, help="Samples from one window to the next. Default: half a window.")
@click.option("--epochs", type=int, help="Of each trial. Default: 30.")
@click.option("--seed", type=int, help="Of splits, trainings and the search. Default: 0.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Trials at a time."
)
@click.option(
    "--ray", "address", metavar="ADDRESS", help="A Ray cluster that does the trials: auto or HOST:PORT."
)
@click.option("--force", is_flag=True, help="Begin anew in a folder that holds another search.")
@json_option
def command(  # noqa: PLR0913 - click hands over each option
    data: Path,
    output: Path,
    flash: str | None,
    workers: int,
    address: str | None,
    force: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Search for a model of the dataset folder DATA: train, convert, measure, and try what may be better.

    Trials are judged on the validation groups; the test groups are seen once, by the model that is trained
    with the best values at the end. OUTPUT gets best.keras and best.tflite with their reports and records,
    trials.csv, front.png, and the models of the trials that no other beats. Stopped, it goes on where it was
    when the same command is given again.

    Status 1 means that no trial is within the limits.
    """
    from train_host.tuning import job, outcome
    from train_host.tuning.progress import Progress

    request = job.Request(
        search=_search(data, **asked),
        output=output,
        flash=flash,
        workers=workers,
        cluster=address,
        again=force,
    )
    progress = Progress()
    try:
        found = job.tune(request, progress)
    except KeyboardInterrupt:
        progress.note(f"{output}: stopped; the same command goes on where it was")
        raise
    finally:
        progress.end()
    if as_json:
        print_json(found.as_dict())
        return
    click.echo(outcome.screen(found.front))
    click.echo(outcome.verdict(output, found.front, found.best, data))


def _search(  # noqa: PLR0913 - of the options
    data: Path,
    *,
    objectives: tuple[str, ...],
    limits: tuple[str, ...],
    target: str | None,
    board: str | None,
    recipe: str,
    trials: int,
    config: Path | None,
    **flags: Any,
) -> Search:
    """What is asked, checked before anything heavy is imported."""
    from converters import boards, recipes
    from edge_sdk.dataset import Dataset
    from train_host import architectures, tasks
    from train_host import config as configs
    from train_host.architectures import kinds
    from train_host.tuning import space
    from train_host.tuning.search import Search

    dataset = Dataset.load(data)
    tasks.of(dataset)
    wanted = goals.parse(objectives, limits, dataset.task, target)
    table, where = _toml(config)
    asked = table.pop("search", None)
    given = {name: value for name, value in flags.items() if value is not None}
    base = configs.load(None, **{**table, **given}).for_dataset(dataset)
    chosen = dict(space.usual(kinds.of_dataset(dataset), dataset.task) if asked is None else asked)
    if base.arch is not None and asked is None:
        architectures.choose(base.arch, dataset, base.model)
        chosen = _only(chosen, base.arch)
    recipes.find(recipe)
    if board is not None:
        boards.find(board)
    return Search(
        dataset=dataset,
        base=base,
        space=space.parse(chosen, f"{where}: [search]"),
        goals=wanted,
        recipe=recipe,
        target=target,
        board=board,
        trials=trials,
    )


def _only(table: dict[str, Any], arch: str) -> dict[str, Any]:
    """The usual search, with one architecture."""
    from train_host.tuning.space import ARCH

    return {
        name: value
        for name, value in table.items()
        if name == arch or (name != ARCH and not (isinstance(value, dict) and "low" not in value))
    }


def _toml(config: Path | None) -> tuple[dict[str, Any], str]:
    if config is None:
        return {}, "search"
    try:
        return tomllib.loads(config.read_text(encoding="utf-8")), str(config)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{config}: cannot be read", expected="a TOML", found=error) from error
