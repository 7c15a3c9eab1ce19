"""The head of the page: what was trained, and the figures that matter most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.page import wording
from converters.page.markup import Html, join, tag
from converters.page.tiles import tile
from train_host.page import champion
from train_host.page.report import Report

_TASKS = {
    "classification": "Classification of",
    "multilabel": "Several labels at once of",
    "regression": "Values of",
    "anomaly": "Anomalies of",
}
_FIGURES = {"accuracy": "Accuracy", "error": "Mean absolute error", "auc": "Area under the ROC curve"}


def render(report: Report) -> Html:
    """Name, what it was learned from, headline figures, notes."""
    judged, run = report.judged, report.run
    dataset, split = judged.dataset, run["split"]
    who = wording.counted(len(split["train"]), dataset.group)
    told = (
        f"{_TASKS[dataset.task]} {wording.clipped(dataset.name, 60)}: trained on "
        f"{wording.counted(report.counts['train'], 'window')} of {who}, "
        f"judged on {wording.counted(len(judged.windows), 'window')} of "
        f"{wording.counted(len(split['test']), 'other')}."
    )
    return join(
        (
            tag("h1", wording.clipped(judged.name, 80)),
            tag("p", told, class_="soft"),
            champion.verdict(report),
            _notes(report),
            tag("div", join(_tiles(report)), class_="tiles"),
        )
    )


def _notes(report: Report) -> Html:
    """What the reader must not overlook."""
    notes = []
    if len(report.run["split"]["test"]) == 1:
        notes.append(
            f"Judged on one {report.judged.dataset.group} only: the interval says nothing about others. "
            "Train with --folds to hear how much they differ."
        )
    if report.operation is not None:
        if not report.operation.kept:
            notes.append(f"No threshold keeps {report.operation.allowed.words} on the validation side.")
        elif report.operation.note:
            notes.append(report.operation.note[0].upper() + report.operation.note[1:] + ".")
    if not notes:
        return Html()
    return tag("div", *(tag("p", note) for note in notes), class_="gate warned")


def _tiles(report: Report) -> Iterator[Html]:
    run = report.run
    result = report.judged.result
    figure = result.figure
    unit = f" {getattr(result, 'unit', '')}".rstrip()
    value = f"{wording.significant(result.value)}{wording.clipped(unit, 20)}"
    yield tile(_FIGURES.get(figure, figure), value, _interval(result.interval))
    per_group: dict[str, Any] = run.get("per_group") or {}
    shares = {name: value for name, value in per_group.items() if isinstance(value, float)}
    if figure == "accuracy" and len(shares) > 1:
        worst = min(shares, key=lambda name: (shares[name], name))
        noun = report.judged.dataset.group
        yield tile(f"Worst {noun}", wording.share(shares[worst]), wording.clipped(worst))
    if report.calibrated is not None:
        kept = report.calibrated.after.ece
        yield tile("Confidence is off by", f"{kept.value:.3f}", f"{wording.interval(kept.interval)}, ECE")
    if report.operation is not None:
        test = report.operation.test
        found = test.detection_figure()
        if found is not None:
            yield tile(
                "Events found",
                wording.share(found.value),
                f"{wording.interval(found.interval)} of {int(test.due.sum())}",
            )
        rate, share = test.rate_figure(), test.share_figure()
        if rate is None or not report.operation.allowed.hourly:
            span = wording.interval(share.interval)
            yield tile("Recordings with a false alarm", wording.share(share.value), span)
        else:
            span = f"[{', '.join(wording.significant(bound, 2) for bound in rate.interval)}]"
            yield tile("False alarms", f"{wording.significant(rate.value, 2)} an hour", span)
    yield tile(
        "Epochs", str(run["best_epoch"]), f"kept of {len(run['history']['loss'])}, in {run['seconds']:.3g} s"
    )


def _interval(pair: Any) -> str:
    return f"{wording.interval((pair[0], pair[1]))}, 95 %" if pair else ""
