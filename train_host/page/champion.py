"""Champion and challenger: both on the same windows, and what each group gains or loses."""

from __future__ import annotations

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from train_host.judging.verdict import Verdict
from train_host.page.report import Report

_ROWS = 40


def verdict(report: Report) -> Html:
    """Whether the challenger is better, in a word and with the reasons; nothing without a champion."""
    found = report.verdict
    if found is None:
        return Html()
    if found.better:
        word = tag("span", "Better than the champion.", class_="good")
        parts = [tag("p", word, " ", f"It gains {_gain(found)}; no {_noun(report)} falls beyond the bound.")]
    else:
        word = tag("span", "The champion stays.", class_="bad")
        parts = [
            tag("p", word, " ", "; ".join(found.reasons[:4]), "."),
            tables.and_more(min(len(found.reasons), 4), len(found.reasons), "reason"),
        ]
    return tag("div", *parts, class_="gate" if found.better else "gate refused")


def render(report: Report) -> Html:
    """Both accuracies, the paired gain, and the groups."""
    found = report.verdict
    if found is None:
        return Html()
    noun = _noun(report)
    told = (
        f"Both models on the same {wording.counted(found.after.n, 'window')} of "
        f"{wording.counted(len(found.groups), noun)} that neither was trained on. What both get right, or "
        "both wrong, tells nothing, so that the interval of the gain is narrower than the others suggest."
    )
    rows = [
        (
            name,
            wording.share(one.accuracy, one.n),
            tag("span", wording.interval(one.interval), class_="soft nowrap"),
        )
        for name, one in (("champion", found.before), ("challenger", found.after))
    ]
    rows.append(
        (
            "gain, points",
            wording.points(found.gain),
            tag("span", wording.points_interval(found.interval), class_="soft nowrap"),
        )
    )
    chance = f"McNemar's exact test, as if windows were independent: p = {found.p_value:.2g}."
    parts = [
        tag("p", told, class_="lead"),
        tables.grid(("", "accuracy", "95 %"), rows, numeric=(1,)),
        tag("p", chance, class_="soft"),
        tag("h3", f"By {noun}, the biggest losses first"),
        _groups(found, noun),
    ]
    if found.left_out:
        named = ", ".join(wording.clipped(group) for group in found.left_out[:_ROWS])
        parts.append(
            tag("p", f"Left out, as the champion was trained with their recordings: {named}.", class_="soft")
        )
    return join(parts)


def _groups(found: Verdict, noun: str) -> Html:
    order = sorted(found.groups, key=lambda name: (found.groups[name].change, name))
    limit = max([abs(one.change) for one in found.groups.values()] + [found.max_group_drop, 0.02])
    fallen = set(found.fallen)
    rows = []
    for name in order[:_ROWS]:
        one = found.groups[name]
        change = tag("span", wording.points(one.change), class_="bad" if name in fallen else None)
        drawn = tag("div", charts.diverging(one.change, limit, wording.points(one.change)), class_="spark")
        rows.append(
            (
                wording.clipped(name, 28),
                f"{one.n:,}",
                wording.share(one.champion),
                wording.share(one.challenger),
                change,
                drawn,
            )
        )
    note = f"{100 * found.max_group_drop:g} points may be lost by a {noun}."
    return join(
        (
            tables.grid(
                (noun, "windows", "champion", "challenger", "points", ""), rows, numeric=(1, 2, 3, 4)
            ),
            tables.and_more(len(rows), len(order), noun, "those that lost most are shown"),
            tag("p", note, class_="soft"),
        )
    )


def _noun(report: Report) -> str:
    return report.judged.dataset.group


def _gain(found: Verdict) -> str:
    return f"{wording.points(found.gain)} points {wording.points_interval(found.interval)}"
