"""What the model is made from: data, split, options, versions. No times, and no names of machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from edge_sdk.contract import Channel
from train_host.config import Config
from train_host.page.report import Report

_ROWS = 40


def data(report: Report) -> Html:
    """The dataset, who stands on which side, and recordings by label."""
    dataset, split = report.judged.dataset, report.run["split"]
    rows: list[tuple[object, object]] = [
        ("dataset", dataset.name),
        ("digest", tag("code", dataset.digest)),
        ("licence", wording.clipped(dataset.licence, 400) or wording.NOTHING),
        ("source", wording.clipped(dataset.source, 1000) or wording.NOTHING),
        (
            "recordings",
            f"{len(dataset.recordings):,} of {wording.counted(len(dataset.groups), dataset.group)}",
        ),
        ("channels", _channels(dataset.channels)),
        ("rate", f"{dataset.rate_hz:g} Hz" if dataset.rate_hz else wording.NOTHING),
        ("window, hop", f"{report.contract.input.window}, {report.contract.input.hop} samples"),
    ]
    for side in ("train", "validation", "test"):
        groups = split[side]
        count, who = report.counts.get(side, 0), wording.counted(len(groups), split["by"])
        told = f"{wording.counted(count, 'window')} of {who}"
        named = ", ".join(wording.clipped(group) for group in groups[:_ROWS])
        more = f", … and {len(groups) - _ROWS} more" if len(groups) > _ROWS else ""
        rows.append((side, f"{told}: {named}{more}" if groups else wording.NOTHING))
    return join((tables.facts(rows), _labels(report)))


def _channels(channels: Sequence[Channel]) -> str:
    names = [
        wording.clipped(f"{one.name} [{one.unit}]" if one.unit else one.name) for one in channels[:_ROWS]
    ]
    return ", ".join(names) + (f", … and {len(channels) - _ROWS} more" if len(channels) > _ROWS else "")


def _labels(report: Report) -> Html:
    """Recordings by label and side."""
    dataset, split = report.judged.dataset, report.run["split"]
    if not dataset.labels:
        return Html()
    side_of = {group: side for side in ("train", "validation", "test") for group in split[side]}
    counts = Counter((one.label, side_of.get(one.group)) for one in dataset.recordings)
    totals = {label: sum(counts[label, side] for side in set(side_of.values())) for label in dataset.labels}
    most = max([*totals.values(), 1])
    rows = [
        (
            wording.clipped(label, 28),
            *(f"{counts[label, side]:,}" for side in ("train", "validation", "test")),
            tag("div", charts.bar(totals[label] / most, "f-result", f"{totals[label]:,}"), class_="spark"),
        )
        for label in dataset.labels[:_ROWS]
    ]
    return join(
        (
            tag("h3", "Recordings by label"),
            tables.grid(("label", "train", "validation", "test", ""), rows, numeric=(1, 2, 3)),
            tables.and_more(len(rows), len(dataset.labels), "label"),
        )
    )


def lineage(report: Report) -> Html:
    """Options and versions: what would make this model again."""
    config: dict[str, Any] = report.run["config"]
    usual = Config().as_dict()
    changed = {name: value for name, value in config.items() if value != usual.get(name)}
    others = {name: value for name, value in config.items() if name not in changed}
    versions = [(name, tag("code", value)) for name, value in sorted(report.run["versions"].items())]
    again = "The model's .run.json has all of this: edgeml train DATA -o AGAIN.keras --config MODEL.run.json"
    return join(
        (
            tag("p", again, class_="lead"),
            tag("h3", "Options that are not the usual ones"),
            _options(changed),
            tag("details", tag("summary", "The others"), _options(others)) if others else Html(),
            tag("h3", "Versions"),
            tables.facts(versions),
        )
    )


def _options(options: dict[str, Any]) -> Html:
    known = {name: value for name, value in options.items() if value not in (None, {}, [])}
    return tables.facts((name, tag("code", _plain(value))) for name, value in known.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else wording.clipped(json.dumps(value, ensure_ascii=False), 400)
