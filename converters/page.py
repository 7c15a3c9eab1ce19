"""The HTML report of a conversion: one file without scripts and without anything from the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from converters.compare import Evaluation, decibels
from converters.result import Result
from edge_sdk.graph import Graph, Op, read_graph

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1b2733; --paper: #fff; --line: #c9d3dc; --good: #1a7f4b; --bar: #2b6cb0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dde6ee; --paper: #14191f; --line: #3a4653; --good: #4cc38a; --bar: #6aa9e9; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.rows td, .rows th { border-bottom: 1px solid var(--line); font-weight: normal; }
.rows thead th { font-weight: 600; }
.wide { overflow-x: auto; }
.side { display: flex; flex-wrap: wrap; gap: 2rem; }
.confusion td { text-align: center; min-width: 2.2rem; border: 1px solid var(--line); }
.confusion th { font-weight: normal; font-size: .85rem; }
.passed { color: var(--good); font-weight: 600; }
code { font-size: .85rem; word-break: break-all; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
"""


def render(result: Result) -> str:
    """The report as an HTML document; every text that comes from a file is escaped.

    Args:
        result: of a conversion that passed.
    """
    name = result.contract.name if result.contract else result.source.stem
    figures, graph = result.verdict, read_graph(result.flatbuffer)
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{escape(result.recipe.name)}: {escape(result.recipe.meaning)}.",
        "<span class=passed>Gate passed.</span></p>",
    ]
    if figures.original is not None and figures.result is not None:
        labels = result.contract.output.labels if result.contract else ()
        parts += [
            "<h2>Accuracy</h2>",
            _intervals([("original", figures.original), (result.recipe.name, figures.result)]),
            f"<p>On {figures.result.n} windows of the {escape(figures.basis)}, with 95 % intervals.</p>",
            "<h2>Per class</h2>",
            _per_class(labels, figures.original, figures.result),
            "<h2>Confusion</h2><div class='side wide'>",
            _confusion("original", labels, figures.original),
            _confusion(result.recipe.name, labels, figures.result),
            "</div>",
        ]
        if figures.result.per_group:
            parts += ["<h2>Per group</h2>", _per_group(figures.original, figures.result)]
    parts += ["<h2>Outputs</h2>", _table(_output_rows(result))]
    parts += ["<h2>Size</h2>", _table(_size_rows(result))]
    parts += ["<h2>Lineage</h2>", _table(_lineage_rows(result))]
    parts += ["<h2>Operators</h2>", _operators(graph)]
    body = "\n".join(parts)
    return (
        "<!doctype html>\n<html lang=en>\n<head><meta charset=utf-8>"
        f"<title>{escape(name)}: conversion</title>\n"
        f'<meta name=viewport content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _intervals(rows: Sequence[tuple[str, Evaluation]]) -> str:
    """Accuracies as dots on one scale, with their intervals as lines."""
    low = min(evaluation.interval[0] for _, evaluation in rows)
    start = max(0.0, np.floor(low * 10 - 0.5) / 10)
    left, width, height = 120, 520, 34 * len(rows) + 26

    def x(share: float) -> float:
        return float(left + width * (share - start) / (1 - start))

    shapes = []
    for tick in np.linspace(start, 1.0, 6):
        shapes.append(f"<line x1={x(tick):.1f} x2={x(tick):.1f} y1=4 y2={height - 20} stroke='var(--line)'/>")
        shapes.append(f"<text x={x(tick):.1f} y={height - 4} text-anchor=middle>{tick:.2f}</text>")
    for i, (name, evaluation) in enumerate(rows):
        y, (first, last) = 22 + 34 * i, evaluation.interval
        shapes.append(f"<text x=0 y={y + 4}>{escape(name)}</text>")
        shapes.append(
            f"<line x1={x(first):.1f} x2={x(last):.1f} y1={y} y2={y} stroke='var(--bar)' stroke-width=3 />"
        )
        shapes.append(f"<circle cx={x(evaluation.accuracy):.1f} cy={y} r=5 fill='var(--bar)'/>")
        value = f"{evaluation.accuracy:.3f} [{first:.3f}, {last:.3f}]"
        shapes.append(f"<text x={left + width + 16} y={y + 4}>{value}</text>")
    return f"<svg viewBox='0 0 820 {height}' role=img aria-label='accuracy'>{''.join(shapes)}</svg>"


def _per_class(labels: Sequence[str], before: Evaluation, after: Evaluation) -> str:
    rows = []
    for i, (first, second) in enumerate(zip(before.per_class, after.per_class, strict=True)):
        n = int(after.confusion[i].sum())
        change = "" if first is None or second is None else f"{100 * (second - first):+.1f} pt"
        rows.append((_label(labels, i), _share(first), _share(second), change, str(n)))
    return _grid(("class", "original", "converted", "change", "windows"), rows)


def _per_group(before: Evaluation, after: Evaluation) -> str:
    rows = [
        (
            name,
            _share(before.per_group[name]),
            _share(share),
            f"{100 * (share - before.per_group[name]):+.1f} pt",
        )
        for name, share in after.per_group.items()
    ]
    return _grid(("group", "original", "converted", "change"), rows)


def _confusion(title: str, labels: Sequence[str], evaluation: Evaluation) -> str:
    """Rows are true classes, columns predicted ones; the shade is the share of the row."""
    count = len(evaluation.confusion)
    head = "".join(f"<th>{escape(_label(labels, i))}</th>" for i in range(count))
    rows = []
    for i, row in enumerate(evaluation.confusion):
        shades = 0.75 * row / max(int(row.sum()), 1)
        cells = (
            f"<td style='background: rgba(43, 108, 176, {shade:.2f})'>{windows}</td>"
            for windows, shade in zip(row, shades, strict=True)
        )
        rows.append(f"<tr><th>{escape(_label(labels, i))}</th>{''.join(cells)}</tr>")
    return (
        f"<table class=confusion><caption>{escape(title)} (true down, predicted across)</caption>"
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table>"
    )


def _output_rows(result: Result) -> list[tuple[str, str]]:
    apart = result.verdict.difference
    rows = [("compared on", f"{apart.n} windows: {result.verdict.basis}")]
    if apart.agreement is not None:
        rows.append(("same label", f"{apart.agreement:.2%}"))
    rows += [
        ("signal to quantization noise", decibels(apart.sqnr_db)),
        ("largest error", f"{apart.max_error:.4g}"),
        ("mean error", f"{apart.mean_error:.4g}"),
    ]
    return rows


def _size_rows(result: Result) -> list[tuple[str, str]]:
    return [
        ("source", f"{result.source_bytes:,} bytes"),
        ("file", f"{result.size_bytes:,} bytes"),
        ("of which the model", f"{len(result.flatbuffer):,} bytes"),
        ("parameters", f"{result.parameters:,}"),
    ]


def _lineage_rows(result: Result) -> list[tuple[str, str]]:
    rows = [("source", result.source.name), ("digest", result.digest)]
    lineage = result.contract.lineage if result.contract else None
    if lineage is not None:
        named = {
            "dataset": lineage.dataset,
            "split by": lineage.split,
            "seed": lineage.seed,
            "made from": lineage.source,
        }
        rows += [(name, str(value)) for name, value in named.items() if value is not None]
        rows += [(name, version) for name, version in (lineage.versions or {}).items()]
    return rows + [("note", note) for note in result.notes]


def _operators(graph: Graph) -> str:
    rows = [
        (
            str(op.index),
            op.custom_code or op.name,
            _tensors(graph, op, op.inputs),
            _tensors(graph, op, op.outputs),
        )
        for op in graph.ops
    ]
    return "<div class=wide>" + _grid(("", "operator", "inputs", "outputs"), rows, numeric=False) + "</div>"


def _tensors(graph: Graph, op: Op, indices: Iterable[int]) -> str:
    found = (graph.tensors[i] for i in indices if i >= 0)
    return ", ".join(
        f"{t.dtype} {list(t.shape_signature)}" + (" constant" if t.constant else "") for t in found
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td><code>{escape(text)}</code></td></tr>" for name, text in rows
    )
    return f"<table class=rows>{cells}</table>"


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: bool = True) -> str:
    """A table with a head; all columns but the first are numbers if `numeric`."""
    kind = [" class=n" if numeric and i else "" for i in range(len(head))]
    top = "".join(f"<th{kind[i]}>{escape(text)}</th>" for i, text in enumerate(head))
    lines = ("".join(f"<td{kind[i]}>{escape(text)}</td>" for i, text in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table class=rows><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _label(labels: Sequence[str], index: int) -> str:
    return labels[index] if index < len(labels) else str(index)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
