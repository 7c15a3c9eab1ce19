"""How good a classifier is: confusion, accuracy by class and by group, the errors it was surest of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.page import confusion, tables, wording
from converters.page.markup import Html, join, tag
from train_host.judging import evaluate
from train_host.judging.judged import Judged
from train_host.page import errors, spans

_ROWS = 40


def sections(judged: Judged) -> Sequence[tuple[str, Html]]:
    """Titles and what stands below them."""
    return (
        ("Confusion", _confusion(judged)),
        ("Accuracy", _accuracy(judged)),
        ("Errors", _errors(judged)),
    )


def _confusion(judged: Judged) -> Html:
    matrix, labels = judged.result.confusion, judged.dataset.labels
    chosen = confusion.choose(matrix)
    names = [labels[int(i)] for i in chosen]
    told = "True classes down, decided ones across; shades are shares of a row, red where wrong."
    return join(
        (
            tag("p", told, class_="lead"),
            confusion.table(names, matrix[np.ix_(chosen, chosen)], matrix.sum(axis=1)[chosen]),
            tables.and_more(len(chosen), len(matrix), "class", "those with most errors are shown"),
        )
    )


def _accuracy(judged: Judged) -> Html:
    dataset, result = judged.dataset, judged.result
    more = evaluate.intervals(judged.outputs, judged.windows, dataset.labels, judged.recordings)
    groups = sorted(result.per_group, key=lambda name: (result.per_group[name], name))
    by_group = [
        spans.Span(name, result.per_group[name], more["per_group_interval"][name], more["per_group_n"][name])
        for name in groups[:_ROWS]
    ]
    totals, decided = result.confusion.sum(axis=1), result.confusion.sum(axis=0)
    by_class = []
    for i, interval in enumerate(more["per_class_interval"]):
        if interval is not None:
            right = int(result.confusion[i, i])
            precision = f"{right / decided[i]:.3f}" if decided[i] else wording.NOTHING
            by_class.append(
                spans.Span(dataset.labels[i], right / int(totals[i]), interval, int(totals[i]), precision)
            )
    worst = sorted(by_class, key=lambda span: (span.value, span.name))[:_ROWS]
    told = (
        "Dots with 95 % intervals; the line across is the whole. Of a class it is the share that was found, "
        f"drawn over {dataset.group}s; within a {dataset.group} the interval is drawn over recordings. "
        "Precision is how often a decision for the class was right."
    )
    return join(
        (
            tag("p", told, class_="lead"),
            tag("h3", f"By {dataset.group}, the worst first"),
            spans.table(dataset.group, by_group, result.accuracy, figure="accuracy"),
            tables.and_more(len(by_group), len(groups), "group", "the worst are shown"),
            tag("h3", "By class, the worst first"),
            spans.table("class", worst, result.accuracy, figure="found", more="precision"),
            tables.and_more(len(worst), len(by_class), "class", "the worst are shown"),
        )
    )


def _errors(judged: Judged) -> Html:
    """Windows that are confidently wrong, each with what was said."""
    scores, truth, labels = judged.outputs, judged.windows.y, judged.dataset.labels
    said = scores.argmax(axis=1)
    wrong = np.flatnonzero(said != truth)
    if not len(wrong):
        return tag("p", f"None of {wording.counted(len(truth), 'window')} was decided wrong.", class_="lead")
    sure = scores[wrong, said[wrong]]
    order = errors.spread_out(wrong[np.argsort(-sure, kind="stable")], judged.recordings)
    cards = [
        errors.Card(
            int(i),
            f"{wording.clipped(labels[int(truth[i])])}, decided as {wording.clipped(labels[int(said[i])])}",
            [(labels[int(k)], float(scores[i, k])) for k in np.argsort(-scores[i], kind="stable")[:3]],
            labels[int(truth[i])],
        )
        for i in order
    ]
    told = (
        f"{len(wrong):,} of {wording.counted(len(truth), 'window')} "
        f"{'was' if len(wrong) == 1 else 'were'} decided wrong. These are the ones that the model was surest "
        "of, one a recording: mislabelled recordings and faults of a sensor show up here first."
    )
    return errors.render(judged, told, cards)
