"""How good a model is that does not choose one label: values, several labels, anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.figures import detection, errors
from converters.figures.detection import Detection
from converters.page import tables, wording
from converters.page.markup import Html, join, tag
from train_host import tasks
from train_host.judging.judged import Judged
from train_host.page import curves
from train_host.page import errors as examples

#: Rows of a table, and values or labels that get a picture or a line of their own.
_ROWS, _PICTURES = 40, 6
Sections = Sequence[tuple[str, Html]]


def regression(judged: Judged) -> Sections:
    """Errors of each value and of each group, values over what is true, the windows that are furthest off."""
    result, more = judged.result, tasks.of(judged.dataset).figures(judged)
    rows = [
        (
            wording.clipped(target.name),
            target.unit or wording.NOTHING,
            wording.significant(target.mae),
            _span(interval),
            wording.significant(target.rmse),
            wording.NOTHING if target.r2 is None else f"{target.r2:.3f}",
            wording.significant(target.bias),
            wording.significant(target.spread),
        )
        for target, interval in zip(result.targets, more["targets_interval"], strict=True)
    ]
    told = (
        "Mean absolute error and root of the mean squared error, in the value's unit. R² compares with "
        "always saying the mean: 1 is perfect, 0 as good as that. Bias is what is said less what is true, "
        "on average."
    )
    head = ("value", "unit", "mean error", "95 %", "RMSE", "R²", "bias", "spread of the truth")
    true, said = (np.asarray(values, np.float64) for values in (judged.windows.y, judged.outputs))
    drawn = [
        curves.scatter(true[:, i], said[:, i], target.name, target.unit)
        for i, target in enumerate(result.targets[:_PICTURES])
    ]
    content = (
        tag("p", told, class_="lead"),
        tables.grid(head, rows, numeric=(2, 4, 5, 6, 7)),
        tag("div", *drawn, class_="side"),
    )
    return (
        ("Errors", join(content)),
        ("Groups", _groups(judged, f"error, {result.unit or 'no unit'}", more, worst_first=-1)),
        ("Worst windows", _furthest(judged)),
    )


def multilabel(judged: Judged) -> Sections:
    """Precision and recall of each label, all labels right in each group, the surest errors."""
    result, more = judged.result, tasks.of(judged.dataset).figures(judged)
    rows = [
        (
            wording.clipped(label.label),
            f"{label.n:,}",
            *(
                tables.lines(
                    [_share(getattr(label, name)), _span(more["per_label_interval"][label.label][name])]
                )
                for name in ("precision", "recall")
            ),
            *(_share(getattr(label, name)) for name in ("f1", "average_precision")),
        )
        for label in result.per_label[:_ROWS]
    ]
    told = (
        f"A label is taken to hold from a score of {result.threshold:g} on. In {result.accuracy:.1%} of the "
        f"windows all labels are right; F1 is {result.f1_macro:.3f} as the mean of the labels, "
        f"{result.f1_micro:.3f} over all decisions. Average precision does not depend on a threshold."
    )
    head = ("label", "windows", "precision", "recall", "F1", "average precision")
    content = (
        tag("p", told, class_="lead"),
        tables.grid(head, rows, numeric=range(1, 6)),
        tables.and_more(len(rows), len(result.per_label), "label"),
        _precision_recall(judged),
    )
    return (
        ("Labels", join(content)),
        ("Groups", _groups(judged, "all labels right", more)),
        ("Worst windows", _surest(judged)),
    )


def anomaly(judged: Judged) -> Sections:
    """What is found at the threshold, of each kind, in each group, and what is missed or taken wrongly."""
    result: Detection = judged.result
    more = tasks.of(judged.dataset).figures(judged)
    rows: list[tuple[object, ...]] = []
    if result.auc is not None and result.pauc is not None:
        rows.append(("area under the ROC curve", f"{result.auc:.3f}", wording.interval(result.interval)))
        rows.append(("the same up to 10 % false alarms", f"{result.pauc:.3f}", "0.5 is chance"))
    for name, found in (("anomalies found", result.detection), ("false alarms", result.false_alarms)):
        if found is not None:
            rows.append((name, f"{found[0]:.1%}", wording.interval(found[1])))
    rows += [
        (f"found of {wording.clipped(name)}", f"{share:.1%}", _span(more["per_label_interval"].get(name)))
        for name, share in result.per_label.items()
    ]
    told = (
        f"{result.anomalies:,} of {wording.counted(result.n, 'window')} are not normal; a score of "
        f"{result.threshold:g} or more is an alarm. Shares are of windows, with 95 % intervals."
    )
    if result.auc is None:
        told += " The test groups have nothing that is not normal: how much would be found is not known."
    table = tables.grid(("figure", "", ""), rows, numeric=(1, 2))
    content = tag("div", tag("div", table), _roc(judged), class_="side")
    return (
        ("Detection", join((tag("p", told, class_="lead"), content))),
        ("Groups", _groups(judged, "decided right", more)),
        ("Worst windows", _misjudged(judged)),
    )


def _groups(judged: Judged, what: str, more: dict[str, Any], worst_first: int = 1) -> Html:
    per_group = judged.result.per_group
    order = sorted(per_group, key=lambda name: (worst_first * per_group[name], name))
    rows = [
        (
            wording.clipped(name),
            f"{more['per_group_n'][name]:,}",
            wording.significant(per_group[name]),
            _span(more["per_group_interval"][name]),
        )
        for name in order[:_ROWS]
    ]
    table = tables.grid((judged.dataset.group, "windows", what, "95 %"), rows, numeric=(1, 2))
    return join((table, tables.and_more(len(rows), len(order), "group", "the worst are shown")))


def _precision_recall(judged: Judged) -> Html:
    lines = []
    for i, label in enumerate(judged.result.per_label[:_PICTURES]):
        if label.average_precision is not None:
            hits = np.cumsum(judged.windows.y[np.argsort(-judged.outputs[:, i], kind="stable"), i])
            lines.append((label.label, hits / hits[-1], hits / np.arange(1, len(hits) + 1)))
    return curves.shares(lines, ("recall", "precision")) if lines else Html()


def _roc(judged: Judged) -> Html:
    scores, odd = judged.outputs[:, 0], judged.windows.y > 0
    if not odd.any() or odd.all():
        return Html()
    alarms, hits = detection.curve(scores, odd)
    reached = scores >= judged.result.threshold
    point = float(reached[~odd].mean()), float(reached[odd].mean())
    return curves.shares(
        [("ROC", alarms, hits)], ("false alarms", "anomalies found"), point=point, diagonal=True
    )


def _furthest(judged: Judged) -> Html:
    """Windows whose values are furthest off."""
    off, targets = errors.absolute(judged.outputs, judged.windows.y), judged.result.targets
    order = examples.spread_out(np.argsort(-off, kind="stable"), judged.recordings)
    cards = []
    for i in order:
        values = [
            f"{target.name} {wording.significant(float(judged.outputs[i, j]))} instead of "
            f"{wording.significant(float(judged.windows.y[i, j]))} {target.unit}".rstrip()
            for j, target in enumerate(targets[:_PICTURES])
        ]
        cards.append(examples.Card(i, ", ".join(wording.clipped(value, 60) for value in values), []))
    told = "These are furthest off for the spread of what is true, one a recording."
    return examples.render(judged, told, cards)


def _surest(judged: Judged) -> Html:
    """Windows in which a label is missed, or taken to hold, for sure."""
    names, holds = judged.dataset.labels, judged.windows.y > 0.5
    wrong = np.abs(judged.outputs - holds)
    worst = wrong.max(axis=1)
    bad = np.flatnonzero(worst > 0.5)
    order = examples.spread_out(bad[np.argsort(-worst[bad], kind="stable")], judged.recordings)
    cards = []
    for i in order:
        label = int(wrong[i].argmax())
        verb = "missed" if holds[i, label] else "taken to hold"
        ranked = np.argsort(-wrong[i], kind="stable")[:3]
        said = [(names[int(k)], float(judged.outputs[i, k])) for k in ranked]
        cards.append(examples.Card(i, f"{wording.clipped(names[label])} {verb}", said))
    told = f"In {len(bad):,} of {wording.counted(len(worst), 'window')} a label is wrong; the surest ones."
    return examples.render(judged, told, cards) if cards else tag("p", "No label is wrong.", class_="lead")


def _misjudged(judged: Judged) -> Html:
    """Anomalies with the lowest scores, normal windows with the highest."""
    scores, kinds, names = judged.outputs[:, 0], judged.windows.y, judged.dataset.labels
    threshold = judged.result.threshold
    wrong = np.flatnonzero((scores >= threshold) != (kinds > 0))
    order = wrong[np.argsort(-np.abs(scores[wrong] - threshold), kind="stable")]
    cards = [
        examples.Card(
            i,
            f"{wording.clipped(names[int(kinds[i])])}, "
            f"{'taken for an anomaly' if scores[i] >= threshold else 'not noticed'}",
            [("score", float(scores[i]))],
        )
        for i in examples.spread_out(order, judged.recordings)
    ]
    told = (
        f"{len(wrong):,} of {wording.counted(len(scores), 'window')} are on the wrong side of the threshold."
    )
    return examples.render(judged, told, cards) if cards else tag("p", told, class_="lead")


def _share(value: float | None) -> str:
    return wording.NOTHING if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None) -> Html:
    words = "" if interval is None else f"[{', '.join(wording.significant(bound) for bound in interval)}]"
    return tag("span", words, class_="soft nowrap")
