"""``edgeml tune``: a search for the model that is good enough and small enough."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import ConfigError, GateError

if TYPE_CHECKING:
    from train_host.tuning.crew import Crew
    from train_host.tuning.study import Search, Study, Tried


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
    help="What is searched for, the foremost first. Default: accuracy and bytes.",
)
@click.option("--limit", "limits", multiple=True, metavar="FIGURE=NUMBER", help="What no model may pass.")
@click.option("--board", help="A board that must run it; see: edgeml inspect --help.")
@click.option("--target", metavar="URL", help="Where models are measured, such as virtual:cortex-m4.")
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
    objectives: tuple[str, ...],
    limits: tuple[str, ...],
    target: str | None,
    config: Path | None,
    workers: int,
    address: str | None,
    force: bool,
    as_json: bool,
    **more: Any,
) -> None:
    """Search for a model of the dataset folder DATA: train, convert, measure, and try what may be better.

    Trials are judged on the validation groups; the test groups are seen once, by the model that is trained
    with the best values at the end. OUTPUT gets best.keras and best.tflite, run.json for edgeml train,
    trials.csv, front.png, and the models of the trials that no other beats. Stopped, it goes on where it was.
    """
    from train_host.tuning import goals, outcome
    from train_host.tuning.study import Study

    wanted = goals.parse(objectives or ("accuracy", "bytes"), limits, target)
    search = _search(data, config, more, wanted, target)
    study = Study(output, search, again=force)
    with _crew(search, workers, address) as crew:
        study.run(crew, lambda tried, done: click.echo(_line(tried, done, search.trials), err=True))
    tried, front = study.tried, study.front()
    _write(output / outcome.TABLE, outcome.table(tried, front).encode())
    if not front:
        raise GateError(
            f"{output}: no trial is within the limits",
            expected=", ".join([*limits, *([f"runs on {search.board}"] if search.board else [])]) or "one",
            found=_nearest(tried),
            remedy=f"see {output / outcome.TABLE}; allow more, or search smaller models",
        )
    title = f"{search.dataset.name}: {len(tried)} trials"
    _write(output / outcome.PICTURE, outcome.picture(tried, front, wanted, title))
    final = _finish(study, front[0])
    if as_json:
        shown = [
            {"trial": each.number, "values": dict(each.values), "figures": dict(each.figures)}
            for each in front
        ]
        print_json({"output": str(output), "trials": len(tried), "front": shown, "best": final})
        return
    click.echo(outcome.screen(front))
    click.echo(_verdict(output, front[0], final))


def _search(data: Path, config: Path | None, more: dict[str, Any], wanted: Any, target: str | None) -> Search:
    from edge_sdk.dataset import Dataset
    from train_host import config as configs
    from train_host import tasks
    from train_host.architectures import kinds
    from train_host.tuning import space
    from train_host.tuning.study import Search

    dataset = Dataset.load(data)
    tasks.of(dataset)
    trials, recipe, board = more.pop("trials"), more.pop("recipe"), more.pop("board")
    table, where = _toml(config)
    asked = table.pop("search", None)
    flags = {name: value for name, value in more.items() if value is not None}
    base = configs.load(None, **{**table, **flags}).for_dataset(dataset)
    chosen = dict(asked if asked is not None else space.DEFAULTS[kinds.of_dataset(dataset)])
    if asked is None and base.arch is not None:
        chosen.pop(space.ARCH, None)
    if board is not None:
        from converters import boards

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


def _toml(config: Path | None) -> tuple[dict[str, Any], str]:
    if config is None:
        return {}, "search"
    try:
        return tomllib.loads(config.read_text(encoding="utf-8")), str(config)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{config}: cannot be read", expected="a TOML", found=error) from error


def _crew(search: Search, workers: int, address: str | None) -> Any:
    from train_host.tuning.crew import Cluster, Local

    crew: Crew = Cluster(address, search.dataset) if address else Local(workers)
    return crew


def _line(tried: Tried, done: int, trials: int) -> str:
    from train_host.tuning import outcome
    from train_host.tuning.space import names_of

    result = tried.result
    shown = "  ".join(names_of(tried.values))
    if result.failure is not None:
        return f"{done}/{trials}  failed: {result.failure}  with {shown}"
    figures = "  ".join(
        f"{name} {outcome.cell(name, value)}"
        for name, value in result.figures.items()
        if value is not None and name in outcome.SHOWN
    )
    beyond = "" if tried.feasible else "  beyond the limits"
    return f"{done}/{trials}  {figures}{beyond}  {result.seconds:.0f} s  with {shown}"


def _nearest(tried: list[Tried]) -> str:
    failures = [each.result.failure for each in tried if each.result.failure is not None]
    if len(failures) == len(tried):
        return f"all failed, such as: {failures[0]}"
    return f"{len(tried)} trials beyond them"


def _finish(study: Study, best: Tried) -> dict[str, Any]:
    """Train with the best values on the standard split, convert, and judge once on the test groups."""
    from converters.conversion import convert
    from train_host.progress import ProgressLine
    from train_host.training import Request, train
    from train_host.tuning.trial import UNGATED

    folder = study.folder
    config = study.config(best)
    line = ProgressLine(config.epochs)
    try:
        trained = train(Request(study.search.dataset.folder, config, folder / "best.keras"), line)
    finally:
        line.end()
    report = convert(
        folder / "best.keras",
        folder / "best.tflite",
        recipe=study.recipe(best),
        data=study.search.dataset.folder,
        **UNGATED,
    ).as_dict()
    return {
        "trial": best.number,
        "values": dict(best.values),
        "model": str(folder / "best.keras"),
        "tflite": str(folder / "best.tflite"),
        "accuracy_original": trained.get("accuracy"),
        "error_original": trained.get("error"),
        "accuracy": report.get("accuracy"),
        "error": report.get("error"),
        "interval": report.get("interval"),
        "n": report.get("n"),
    }


def _verdict(output: Path, best: Tried, final: dict[str, Any]) -> str:
    name = "accuracy" if final["accuracy"] is not None else "error"
    low, high = final["interval"] or (None, None)
    interval = "" if low is None else f" (95 %: {low:.3f} to {high:.3f})"
    shown = "–" if final[name] is None else f"{final[name]:.3f}"
    return (
        f"trial {best.number}, trained anew: {name} {shown}{interval} on test groups that no trial has seen, "
        f"n = {final['n']}\n"
        f"{output}: best.keras, best.tflite, run.json, trials.csv, front.png"
    )


def _write(path: Path, content: bytes) -> None:
    from edge_sdk.modelfile import write_atomic

    write_atomic(path, content)
