"""The recipes that were tried: what each costs, what it loses, and which ones nothing beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from converters.page import charts, decisions, judged, plot, tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report, Trial

#: Trials that are listed.
_ROWS = 40


def render(report: Report) -> Html:
    """Plots and table; nothing where a single recipe was tried."""
    if len(report.trials) < 2:
        return Html()
    plots, names = [], _names(report.trials)
    for title, x in (("size of the model", _size), ("latency", _latency)):
        points = plot.points_of(report, names, x)
        if len(points) > 1:
            plots.append(tag("figure", charts.responsive(partial(plot.draw, report, points, title))))
    return join(
        (
            tag("p", _how_to_read(report), class_="lead"),
            charts.legend(
                ("f-result", "on the front: nothing tried is as good in everything and better in something"),
                ("f-mid", "beaten by another"),
                ("hollow", "cannot be taken"),
            )
            if plots
            else Html(),
            tag("div", *plots, class_="side"),
            _table(report),
        )
    )


def _how_to_read(report: Report) -> str:
    what = "accuracy" if report.verdict.drop is not None else "closeness to the original"
    tried = wording.counted(len(report.trials), "recipe")
    said = f"{tried} tried. Up is better in {what}, left is smaller or faster."
    if report.verdict.drop is not None:
        said += " The upright line is the 95 % interval of what the marked one lost, from the same inputs."
    return said


def _size(trial: Trial) -> float | None:
    return trial.size_bytes


def _latency(trial: Trial) -> float | None:
    return trial.latency_us


def _names(trials: Sequence[Trial]) -> list[str]:
    """The recipes; of several trials of one each with its number."""
    names = [trial.recipe.name for trial in trials]
    return [
        f"{name} {names[: i + 1].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _table(report: Report) -> Html:
    best = {id(trial) for trial in report.front}
    output = decisions.deciding(report)
    names = {id(trial): name for trial, name in zip(report.trials, _names(report.trials), strict=True)}
    columns: dict[str, Callable[[Trial], object]] = {"recipe": lambda trial: names[id(trial)]}
    if report.verdict.judged is not None:
        columns |= {judged.name(report.verdict.judged).lower(): _accuracy, "lost": _lost}
    if report.verdict.original is not None:
        columns |= {"accuracy": _accuracy, "points lost": _lost}
    if output is not None:
        columns["same label"] = lambda trial: _same(trial, output)
    columns |= {"error": _error, "size": lambda trial: wording.size(trial.size_bytes)}
    if any(trial.latency_us is not None for trial in report.trials):
        columns["latency"] = lambda trial: wording.duration(trial.latency_us)
    columns["arena"] = lambda trial: wording.size(trial.arena_bytes)
    columns[""] = lambda trial: _standing(report, trial, on_front=id(trial) in best)
    shown = report.trials[:_ROWS]
    table = tables.grid(
        tuple(columns),
        [[cell(trial) for cell in columns.values()] for trial in shown],
        numeric=range(1, len(columns) - 1),
        marked=[i for i, trial in enumerate(shown) if trial is report.chosen],
    )
    return join((table, tables.and_more(len(shown), len(report.trials), "recipe")))


def _accuracy(trial: Trial) -> str:
    verdict = trial.verdict
    if verdict is not None and verdict.judged is not None:
        return judged.value(verdict.judged.after)
    result = None if verdict is None else verdict.result
    return wording.share(None if result is None else result.accuracy)


def _same(trial: Trial, output: int) -> str:
    share = None if trial.verdict is None else decisions.agreement(trial.verdict, output)
    return wording.NOTHING if share is None else f"{share:.1%}"


def _error(trial: Trial) -> str:
    return wording.NOTHING if trial.verdict is None else wording.decibels(trial.verdict.difference.sqnr_db)


def _lost(trial: Trial) -> Html:
    if trial.verdict is not None and trial.verdict.judged is not None:
        return join([judged.loss(trial.verdict.judged)])
    if trial.verdict is None or trial.verdict.drop is None:
        return join([wording.NOTHING])
    spread = tag("span", wording.points_interval(trial.verdict.drop_interval), class_="soft")
    return join([wording.points(trial.verdict.drop, sign=False), " ", spread])


def _standing(report: Report, trial: Trial, *, on_front: bool) -> Html:
    """What became of a trial, and why."""
    parts: list[object] = []
    if trial is report.chosen:
        parts.append(
            tag("span", "chosen" if report.passed else "closest", class_="good" if report.passed else "bad")
        )
    elif trial.failure is None:
        parts.append("on the front" if on_front else "beaten by another")
    if trial.failure is not None:
        parts.append(tag("span", trial.failure, class_="bad" if trial is report.chosen else None))
    if trial.kept:
        parts.append(
            tag("span", f"{wording.counted(len(trial.kept), 'layer')} kept in float32", class_="soft")
        )
    return tag("div", tables.lines(parts), class_="why")
