"""How good a model is that does not choose one label: values, several labels, anomalies."""

from __future__ import annotations

from collections.abc import Sequence

from converters.figures.detection import Detection
from converters.page import tables, wording
from converters.page.markup import Html, join, tag
from train_host.judged import Judged

_ROWS = 40
Sections = Sequence[tuple[str, Html]]


def regression(judged: Judged) -> Sections:
    """Errors of each value and of each group."""
    result = judged.result
    rows = [
        (
            wording.clipped(target.name),
            target.unit or wording.NOTHING,
            wording.significant(target.mae),
            wording.significant(target.rmse),
            wording.NOTHING if target.r2 is None else f"{target.r2:.3f}",
            wording.significant(target.bias),
            wording.significant(target.spread),
        )
        for target in result.targets
    ]
    told = (
        "Mean absolute error and root of the mean squared error, in the value's unit. R² compares with "
        "always saying the mean: 1 is perfect, 0 as good as that. Bias is what is said less what is true, "
        "on average."
    )
    head = ("value", "unit", "mean error", "RMSE", "R²", "bias", "spread of the truth")
    content = join((tag("p", told, class_="lead"), tables.grid(head, rows, numeric=range(2, 7))))
    return (
        ("Errors", content),
        ("Groups", _groups(judged, f"error, {result.unit or 'no unit'}", worst_first=-1)),
    )


def multilabel(judged: Judged) -> Sections:
    """Precision and recall of each label, all labels right in each group."""
    result = judged.result
    rows = [
        (
            wording.clipped(label.label),
            f"{label.n:,}",
            *(_share(getattr(label, name)) for name in ("precision", "recall", "f1", "average_precision")),
        )
        for label in result.per_label[:_ROWS]
    ]
    told = (
        f"A label is taken to hold from a score of {result.threshold:g} on. In {result.accuracy:.1%} of the "
        f"windows all labels are right; F1 is {result.f1_macro:.3f} as the mean of the labels, "
        f"{result.f1_micro:.3f} over all decisions. Average precision does not depend on a threshold."
    )
    head = ("label", "windows", "precision", "recall", "F1", "average precision")
    content = join(
        (
            tag("p", told, class_="lead"),
            tables.grid(head, rows, numeric=range(1, 6)),
            tables.and_more(len(rows), len(result.per_label), "label"),
        )
    )
    return (("Labels", content), ("Groups", _groups(judged, "all labels right")))


def anomaly(judged: Judged) -> Sections:
    """What is found at the threshold, of each kind, in each group."""
    result: Detection = judged.result
    rows: list[tuple[str, str, str]] = []
    if result.auc is not None and result.pauc is not None:
        rows.append(("area under the ROC curve", f"{result.auc:.3f}", wording.interval(result.interval)))
        rows.append(("the same up to 10 % false alarms", f"{result.pauc:.3f}", "0.5 is chance"))
    for name, found in (("anomalies found", result.detection), ("false alarms", result.false_alarms)):
        if found is not None:
            rows.append((name, f"{found[0]:.1%}", wording.interval(found[1])))
    rows += [
        (f"found of {wording.clipped(name)}", f"{share:.1%}", "") for name, share in result.per_label.items()
    ]
    told = (
        f"{result.anomalies:,} of {wording.counted(result.n, 'window')} are not normal; a score of "
        f"{result.threshold:g} or more is an alarm. Shares are of windows, with 95 % intervals."
    )
    if result.auc is None:
        told += " The test groups have nothing that is not normal: how much would be found is not known."
    content = join((tag("p", told, class_="lead"), tables.grid(("figure", "", ""), rows, numeric=(1, 2))))
    return (("Detection", content), ("Groups", _groups(judged, "decided right")))


def _groups(judged: Judged, what: str, worst_first: int = 1) -> Html:
    per_group = judged.result.per_group
    order = sorted(per_group, key=lambda name: (worst_first * per_group[name], name))
    counts = {name: judged.windows.group.count(name) for name in order[:_ROWS]}
    rows = [
        (wording.clipped(name), f"{counts[name]:,}", wording.significant(per_group[name]))
        for name in order[:_ROWS]
    ]
    table = tables.grid((judged.dataset.group, "windows", what), rows, numeric=(1, 2))
    return join((table, tables.and_more(len(rows), len(order), "group", "the worst are shown")))


def _share(value: float | None) -> str:
    return wording.NOTHING if value is None else f"{value:.3f}"
