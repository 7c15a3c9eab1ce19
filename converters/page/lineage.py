"""Where everything comes from: the data that judged and calibrated, sizes, digests, versions, notes."""

from __future__ import annotations

from pathlib import Path

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report

_ROWS = 40


def data(report: Report) -> Html:
    """What the result was judged with, and what ranges were measured on."""
    evidence = report.evidence
    rows: list[tuple[object, object]] = [
        ("judged on", f"{wording.counted(len(evidence), 'input')}: {evidence.basis}")
    ]
    if evidence.groups is not None:
        rows.append(("from", wording.counted(len(set(evidence.groups)), "group")))
    if evidence.calibration is not None:
        count = len(evidence.calibration[0])
        rows.append(("ranges measured on", f"{wording.counted(count, 'other input')}"))
    shapes = [f"{array.dtype} [{', '.join(map(str, array.shape[1:]))}]" for array in evidence.inputs]
    rows.append(
        ("each input", ", ".join(shapes[:8]) + (f", … and {len(shapes) - 8} more" if len(shapes) > 8 else ""))
    )
    return join((tables.facts(rows), _calibration(report)))


def _calibration(report: Report) -> Html:
    counts = report.evidence.counts
    if not counts:
        return Html()
    most = max(count for _, count in counts)
    rows = [
        (label, f"{count:,}", tag("div", charts.bar(count / most, "f-result", f"{count:,}"), class_="spark"))
        for label, count in counts[:_ROWS]
    ]
    return join(
        (
            tag("h3", "Calibration inputs by label"),
            tables.grid(("label", "inputs", ""), rows, numeric=(1,)),
            tables.and_more(len(rows), len(counts), "label"),
        )
    )


def origin(report: Report) -> Html:
    """Source, digests, versions and sizes; no times, so that the same conversion gives the same page."""
    recipe = report.recipe
    rows: list[tuple[object, object]] = [("source", Path(report.source).name), ("kind", report.kind)]
    lineage = report.contract.lineage if report.contract else None
    if lineage is not None:
        named = (
            ("source digest", lineage.source),
            ("dataset", lineage.dataset),
            ("split by", lineage.split),
            ("seed", lineage.seed),
        )
        rows += [(name, tag("code", value)) for name, value in named if value is not None]
    rows += [
        ("model digest", tag("code", report.digest)),
        ("size of the source", _bytes(report.source_bytes)),
        ("size of the file", _bytes(report.size_bytes)),
        ("size of the model in it", _bytes(len(report.flatbuffer))),
        ("parameters", wording.NOTHING if report.parameters is None else f"{report.parameters:,}"),
        (
            "recipe",
            f"{recipe.name}: weights {recipe.weights}, computes in {recipe.activations}, takes {recipe.io}",
        ),
    ]
    if report.board is not None:
        rows.append(("for board", report.board))
    if report.chosen.kept:
        names: list[object] = list(wording.short_names(report.chosen.kept)[:_ROWS])
        left = len(report.chosen.kept) - len(names)
        rows.append(("kept in float32", tables.lines([*names, f"… and {left} more"] if left else names)))
    if report.chosen.float_ops:
        rows.append(("float32 for want of kernels", ", ".join(dict.fromkeys(report.chosen.float_ops))))
    if lineage is not None:
        rows += [(name, tag("code", version)) for name, version in sorted((lineage.versions or {}).items())]
    rows += [("note", wording.clipped(note, 2000)) for note in report.notes[:100]]
    return tables.facts(rows)


def _bytes(count: int | None) -> str:
    return wording.NOTHING if count is None else f"{count:,} bytes"
