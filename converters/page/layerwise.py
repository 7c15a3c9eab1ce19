"""Where quantization costs most: the error of every layer's output, in the order of the graph."""

from __future__ import annotations

from collections.abc import Sequence

from converters.layers import Layer, guilty
from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report
from edge_sdk.graph import read_graph

#: From these ratios on, dB, a layer is fine, fair, weak; below all it is poor.
_LEVELS = (30.0, 20.0, 10.0)
#: Full length of a bar, dB.
_FULL_DB = 60.0
_ROWS, _WORST = 120, 5
#: No error at all, as `converters.layers` counts, dB.
_EXACT_DB = 99.9


def render(report: Report) -> Html:
    """Heat-bars a layer and the worst of them; nothing where no layer was measured."""
    layers = report.layers
    if not layers:
        return Html()
    names = dict(
        zip(
            (layer.name for layer in layers),
            wording.short_names([layer.name for layer in layers]),
            strict=True,
        )
    )
    shown = _shown(layers)
    how = (
        "How far each layer’s signal lies above the error of quantization, every channel counting alike: at "
        "40 dB the error is 1 % of the signal, at 20 dB 10 %, at 10 dB 32 %. “Lost here” is what this layer "
        "added to the error that came in; a long red bar names a layer to keep in float32. The thin mark is "
        "the ratio over all values at once: far right of a bar, small channels drown beside large ones."
    )
    parts = [
        tag("p", how, class_="lead"),
        charts.legend(
            ("heat0", "30 dB and more"),
            ("heat1", "20 to 30"),
            ("heat2", "10 to 20"),
            ("heat3", "below 10"),
            ("f-kept", "computed in float32"),
        ),
        tables.scrolling(_bars(report, shown, names)),
        tables.and_more(len(shown), len(layers), "layer", "the worst are shown, in the order of the graph"),
        *_worst(layers, names),
    ]
    return join(parts)


def _shown(layers: Sequence[Layer]) -> list[Layer]:
    if len(layers) <= _ROWS:
        return list(layers)
    worst = sorted(range(len(layers)), key=lambda i: (-layers[i].added_db, layers[i].channel_sqnr_db, i))
    return [layers[i] for i in sorted(worst[:_ROWS])]


def _in_float(report: Report) -> frozenset[str]:
    """Names of the layers that compute in float32; what a DEQUANTIZE wrote was computed in integers."""
    graph = read_graph(report.flatbuffer)
    widened = {graph.tensors[op.outputs[0]].name for op in graph.ops if op.name == "DEQUANTIZE"}
    return frozenset(layer.name for layer in report.layers if layer.dtype == "float32") - widened


def _first(layer: Layer) -> bool:
    """Whether its inputs were exact: what it lost is the cost of the first rounding, not its own fault."""
    return layer.added_db > 0 and layer.added_db + layer.channel_sqnr_db >= _EXACT_DB


def _bars(report: Report, layers: Sequence[Layer], names: dict[str, str]) -> Html:
    kept, in_float = frozenset(report.chosen.kept), _in_float(report)
    most = max([layer.added_db for layer in layers if not _first(layer)] + [6.0])
    rows = []
    for layer in layers:
        floating, added = layer.name in in_float, layer.added_db >= 0.05
        mark = tag("span", "kept" if layer.name in kept else "float32", class_="badge")
        lost: Html | str = ""
        if _first(layer) and not floating:
            lost = tag("span", "first rounding", class_="soft")
        elif added:
            lost = charts.bar(layer.added_db / most, "f-bad", wording.decibels(layer.added_db))
        cells = (
            tag("td", names[layer.name], class_="name", title=layer.name),
            tag("td", mark if floating else tag("span", layer.op.lower(), class_="word"), class_="op soft"),
            tag("td", _ratio(layer, floating=floating)),
            tag("td", _figure(layer.channel_sqnr_db), class_="n"),
            tag("td", lost),
            tag("td", f"{layer.added_db:.1f}" if added and not _first(layer) else "", class_="n"),
        )
        rows.append(tag("tr", *cells))
    columns = (
        tag("col", class_=kind) for kind in ("c-name", "c-op", "c-long", "c-figure", "c-short", "c-figure")
    )
    head = tag(
        "tr",
        tag("th", "layer", class_="name", scope="col"),
        tag("th", "operator", class_="op", scope="col"),
        tag("th", "signal above error", scope="col"),
        tag("th", "dB", class_="n", scope="col"),
        tag("th", "lost here", scope="col"),
        tag("th", "dB", class_="n", scope="col"),
    )
    return tag(
        "table", tag("colgroup", *columns), tag("thead", head), tag("tbody", *rows), class_="rows bars"
    )


def _ratio(layer: Layer, *, floating: bool) -> Html:
    """The bar of a layer, with a mark where the whole tensor's ratio is."""
    level = sum(layer.channel_sqnr_db < limit for limit in _LEVELS)
    kind = "f-kept" if floating else f"heat{level}"
    said = f"channels alike {wording.decibels(layer.channel_sqnr_db)}, all {wording.decibels(layer.sqnr_db)}"
    return charts.bar(layer.channel_sqnr_db / _FULL_DB, kind, said, mark=layer.sqnr_db / _FULL_DB)


def _figure(decibels: float) -> str:
    return "≥ 100" if decibels >= 99.95 else f"{decibels:.1f}".replace("-", wording.MINUS)


def _worst(layers: Sequence[Layer], names: dict[str, str]) -> list[Html]:
    worst = [
        layer
        for layer in guilty(layers)
        if layer.added_db >= 1.0 and not (_first(layer) and layer.channel_sqnr_db >= _LEVELS[0])
    ][:_WORST]
    if not worst:
        return []
    rows = [
        (
            names[layer.name],
            layer.op.lower(),
            layer.dtype,
            f"{layer.added_db:.1f} dB",
            _figure(layer.channel_sqnr_db) + " dB",
            f"{charts.number(float(f'{layer.low:.3g}'))} … {charts.number(float(f'{layer.high:.3g}'))}",
        )
        for layer in worst
    ]
    head = ("layer", "operator", "computes in", "lost here", "reached", "values")
    return [tag("h3", "Worst first"), tables.grid(head, rows, numeric=(3, 4, 5))]
