"""Where quantization costs most: the error of every layer's output, in the order of the graph."""

from __future__ import annotations

from collections.abc import Sequence

from converters.layers import Layer, guilty
from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report

#: From these ratios on, dB, a layer is fine, fair, weak; below all it is poor.
_LEVELS = (30.0, 20.0, 10.0)
#: Full length of a bar, dB.
_FULL_DB = 60.0
_ROWS, _WORST = 120, 5


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
        "added to the error that came in; a long red bar names a layer to keep in float32."
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


def _bars(report: Report, layers: Sequence[Layer], names: dict[str, str]) -> Html:
    kept = frozenset(report.chosen.kept)
    most = max([layer.added_db for layer in layers] + [6.0])
    rows = []
    for layer in layers:
        level = sum(layer.channel_sqnr_db < limit for limit in _LEVELS)
        floating = layer.dtype == "float32"
        heard = wording.decibels(layer.channel_sqnr_db)
        mark = tag("span", "kept" if layer.name in kept else "float32", class_="badge")
        rows.append(
            tag(
                "tr",
                tag("td", names[layer.name], class_="name", title=layer.name),
                tag(
                    "td", mark if floating else tag("span", layer.op.lower(), class_="word"), class_="op soft"
                ),
                tag(
                    "td",
                    charts.bar(
                        layer.channel_sqnr_db / _FULL_DB,
                        "f-kept" if floating else f"heat{level}",
                        heard,
                        marks=(1 / 6, 1 / 3, 2 / 3),
                    ),
                ),
                tag("td", _figure(layer.channel_sqnr_db), class_="n"),
                tag(
                    "td",
                    charts.bar(layer.added_db / most, "f-bad", wording.decibels(layer.added_db))
                    if layer.added_db >= 0.05
                    else "",
                ),
                tag("td", f"{layer.added_db:.1f}" if layer.added_db >= 0.05 else "", class_="n"),
            )
        )
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


def _figure(decibels: float) -> str:
    return "≥ 100" if decibels >= 99.95 else f"{decibels:.1f}".replace("-", wording.MINUS)


def _worst(layers: Sequence[Layer], names: dict[str, str]) -> list[Html]:
    worst = [layer for layer in guilty(layers)[:_WORST] if layer.added_db >= 1.0]
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
