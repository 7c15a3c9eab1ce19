"""What a task other than choosing one label reached, before and after: values, several labels, anomalies."""

from __future__ import annotations

from collections.abc import Iterator

from converters.figures import Figures, Judged
from converters.figures.detection import Detection
from converters.figures.errors import Errors
from converters.figures.multilabel import Presence
from converters.page import tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report

#: Rows of a table.
_ROWS = 40
_Row = tuple[str, str, str]


def render(report: Report) -> Html:
    """Figures of both models beside each other, and what each group lost; nothing of a classifier."""
    judged = report.verdict.judged
    if judged is None:
        return Html()
    recipe = report.recipe.name
    told = (
        f"On {wording.counted(judged.after.n, 'input')} of the {report.verdict.basis}: "
        f"{loss(judged)} lost. Both ran on the same inputs."
    )
    rows = list(_figures(judged.before, judged.after))
    parts = [tag("p", told, class_="lead"), tables.grid(("", "original", recipe), rows, numeric=(1, 2))]
    if judged.after.per_group:
        parts += [tag("h3", "By group"), *_groups(judged)]
    return join(parts)


def name(judged: Judged) -> str:
    """What counts."""
    return {"error": "Mean error", "auc": "AUC", "accuracy": "All right"}[judged.after.figure]


def value(figures: Figures) -> str:
    """It, for people."""
    return wording.significant(figures.value) if figures.figure == "error" else wording.share(figures.value)


def loss(judged: Judged) -> str:
    """What was lost, with its interval where there is one."""
    if judged.after.figure == "error":
        within = "" if judged.interval is None else f" [{', '.join(f'{v:+.1%}' for v in judged.interval)}]"
        return f"{judged.lost:+.1%} of the error{within}"
    within = "" if judged.interval is None else f" {wording.points_interval(judged.interval)}"
    return f"{wording.points(judged.lost, sign=False)} points{within}"


def _figures(before: Figures, after: Figures) -> Iterator[_Row]:
    """One row a figure: what it is, and both."""
    if isinstance(before, Errors) and isinstance(after, Errors):
        for first, second in zip(before.targets, after.targets, strict=True):
            unit = f", {first.unit}" if first.unit else ""
            title = wording.clipped(first.name, 24)
            yield f"{title}: mean error{unit}", *_pair(first.mae, second.mae)
            yield f"{title}: RMSE{unit}", *_pair(first.rmse, second.rmse)
            yield f"{title}: R²", *_pair(first.r2, second.r2)
    elif isinstance(before, Presence) and isinstance(after, Presence):
        yield "all labels right", *_pair(before.accuracy, after.accuracy)
        yield "F1, mean of the labels", *_pair(before.f1_macro, after.f1_macro)
        yield "F1 over all decisions", *_pair(before.f1_micro, after.f1_micro)
        for one, other in list(zip(before.per_label, after.per_label, strict=True))[:_ROWS]:
            yield f"F1 of {wording.clipped(one.label, 24)}", *_pair(one.f1, other.f1)
    elif isinstance(before, Detection) and isinstance(after, Detection):
        yield "area under the ROC curve", *_pair(before.auc, after.auc)
        yield "the same up to 10 % false alarms", *_pair(before.pauc, after.pauc)
        for title, attribute in (("anomalies found", "detection"), ("false alarms", "false_alarms")):
            first, second = getattr(before, attribute), getattr(after, attribute)
            if first is not None and second is not None:
                yield f"{title}, from {after.threshold:g} on", f"{first[0]:.1%}", f"{second[0]:.1%}"
        for kind, share in before.per_label.items():
            yield f"found of {wording.clipped(kind, 24)}", f"{share:.1%}", f"{after.per_label[kind]:.1%}"


def _groups(judged: Judged) -> Iterator[Html]:
    before, after = judged.before.per_group, judged.after.per_group
    sign = -1 if judged.after.figure == "error" else 1
    order = sorted(after, key=lambda name: (sign * (after[name] - before[name]), name))
    rows = [(wording.clipped(group, 24), *_pair(before[group], after[group])) for group in order[:_ROWS]]
    yield tables.grid(("group", "original", "converted"), rows, numeric=(1, 2))
    yield tables.and_more(len(rows), len(order), "group", "those that lost most are shown")


def _pair(first: float | None, second: float | None) -> tuple[str, str]:
    one, other = (wording.NOTHING if v is None else wording.significant(v, 4) for v in (first, second))
    return one, other
