"""Recordings that something is wrong with, or seems to be: drawn, with the reasons; and all findings."""

from __future__ import annotations

from collections import Counter

from converters.page import tables, wording
from converters.page.markup import Html, join, tag
from edge_sdk.errors import DatasetError
from train_host.data.report import figures
from train_host.data.report.content import Content

#: Recordings that are drawn, reasons with each, and findings that are listed of one kind and in all.
_DRAWN, _REASONS, _EACH, _ROWS = 24, 4, 6, 200
_RANK = {"error": 0, "warning": 2, "hint": 1}


def render(content: Content) -> Html:
    """Cards of the recordings that want a look, the worst first; nothing where there are none."""
    reasons: dict[str, list[tuple[int, str]]] = {}
    common = Counter(finding.remedy for finding in content.checked.findings if finding.file)
    for finding in content.checked.findings:
        # what is so of most recordings is no fault of one
        if finding.file and common[finding.remedy] <= max(len(content.portraits) // 4, 3):
            reasons.setdefault(finding.file, []).append((_RANK[finding.severity], finding.what))
    for index, words in content.unlike.items():
        file = content.dataset.recordings[index].file
        reasons.setdefault(file, []).extend((1, word) for word in words)
    if not reasons:
        return Html()
    order = sorted(reasons, key=lambda file: (min(reasons[file])[0], -len(reasons[file]), file))
    cards = [card for file in order[:_DRAWN] if (card := _card(content, file, reasons[file]))]
    said = (
        f"{wording.counted(len(reasons), 'recording')} to look at: with findings, or much longer, shorter, "
        "stronger or weaker than others of the label, or most like recordings of another label."
    )
    return join(
        (
            tag("p", said, class_="lead"),
            figures.legend(content.dataset),
            tag("div", *cards, class_="cards small tall" if content.is_images else "cards"),
            tables.and_more(min(len(order), _DRAWN), len(order), "recording", "see Findings"),
        )
    )


def findings(content: Content) -> Html:
    """A table of everything that was found; nothing where there is none."""
    rows: list[tuple[object, ...]] = []
    shown: Counter[tuple[str, str]] = Counter()
    found = content.checked.findings
    for finding in found:
        kind = (finding.severity, finding.remedy)
        shown[kind] += 1
        if shown[kind] > _EACH or len(rows) >= _ROWS:
            continue
        badge = "badge" if finding.severity == "hint" else "badge warn"
        word = "bad" if finding.severity == "error" else badge
        rows.append(
            (
                tag("span", finding.severity, class_=word),
                tag("div", wording.clipped(finding.file, 48) or "the whole", class_="why"),
                tag("div", finding.what, class_="why"),
                tag("div", finding.remedy, class_="why soft"),
            )
        )
    if not rows:
        return Html()
    table = tables.grid(("", "where", "what", "what to do"), rows)
    return join((table, tables.and_more(len(rows), len(found), "finding", "edgeml data check lists them")))


def _card(content: Content, file: str, reasons: list[tuple[int, str]]) -> Html:
    recording = next(r for r in content.dataset.recordings if r.file == file)
    name = tag("span", wording.clipped(file.removeprefix("recordings/"), 44))
    parts: list[object] = [tag("div", name, class_="head")]
    try:
        signal = content.dataset.read(recording)
    except DatasetError:
        parts.append(tag("p", "cannot be read", class_="bad"))
    else:
        parts += [figures.drawing(content.dataset, signal)]
        parts += [tag("p", figures.shown_of(signal), class_="soft")]
    ordered = sorted(reasons)
    for rank, words in ordered[:_REASONS]:
        parts.append(tag("p", words, class_="bad" if rank == 0 else None))
    parts.append(tables.and_more(min(len(ordered), _REASONS), len(ordered), "reason"))
    flagged = any(rank == 0 for rank, _ in reasons)
    return tag("div", *parts, class_="card flagged" if flagged else "card")
