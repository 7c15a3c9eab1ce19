"""What values each quantized tensor carries, and whether its few steps are well spent on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.layers import Layer
from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale
from converters.report import Report

#: Share of the values that should not crowd into a few steps, and how few these are.
_SHARE, _FEW = 0.99, 16
#: Values this much beyond what the steps cover, as a fraction, are clipped.
_CLIPPED = 1.05
_SHOWN = 60
_WIDTH, _HEIGHT = 150, 74


@dataclass(frozen=True)
class Spent:
    """How a tensor uses its steps.

    Attributes:
        steps: that the dtype has.
        used: between the smallest and the largest value.
        crowded: that carry 99 % of the values.
        band: where those are, first and last value.
    """

    steps: int
    used: float
    crowded: float
    band: tuple[float, float]

    @property
    def few(self) -> bool:
        """Whether outliers took the steps from nearly all values."""
        return self.crowded < _FEW

    @property
    def clipped(self) -> bool:
        """Whether there are values that the steps do not reach."""
        return self.used > self.steps * _CLIPPED


def render(report: Report) -> Html:
    """A small histogram a tensor; nothing where no tensor is quantized."""
    layers = _different(report.layers)
    if not layers:
        return Html()
    facts = [spent(layer) for layer in layers]
    names = wording.short_names([layer.name for layer in layers])
    flagged = [i for i, fact in enumerate(facts) if fact.few or fact.clipped]
    rest = [i for i in range(len(layers)) if i not in set(flagged)]
    shown = sorted([*flagged, *rest][:_SHOWN])
    how = (
        "The values of each quantized tensor in the float model, from the smallest to the largest; mere "
        "reshapes are left out, and heights are logarithmic, so that rare values show. One step is what the "
        "integers can tell apart: a band of few steps means that outliers, outside of it, took the "
        "resolution from all others."
    )
    found = (
        tag(
            "p",
            tag(
                "span", f"{wording.counted(len(flagged), 'tensor')} of {len(layers)} flagged: ", class_="warn"
            ),
            f"fewer than {_FEW} steps carry 99 % of the values, or values are clipped.",
        )
        if flagged
        else tag("p", f"None of {wording.counted(len(layers), 'tensor')} is flagged.")
    )
    cards = [_card(layers[i], names[i], facts[i]) for i in shown]
    return join(
        (
            tag("p", how, class_="lead"),
            found,
            charts.legend(("f-band", "99 % of the values"), ("f-warn", "one step")),
            tag("div", *cards, class_="cards small tall" if max(map(len, names)) > 19 else "cards small"),
            tables.and_more(len(shown), len(layers), "tensor", "flagged ones come first"),
        )
    )


def _different(layers: Sequence[Layer]) -> list[Layer]:
    """The quantized tensors, without those that hold the values of one before in another shape."""
    found: dict[tuple[object, ...], Layer] = {}
    for layer in layers:
        total = sum(layer.histogram)
        if layer.scale and total and layer.high > layer.low:
            shares = tuple(round(count / total, 6) for count in layer.histogram)
            found.setdefault((layer.low, layer.high, layer.scale, shares), layer)
    return list(found.values())


def spent(layer: Layer) -> Spent:
    """How a quantized tensor uses its steps, as far as its histogram tells."""
    assert layer.scale is not None
    counts = np.asarray(layer.histogram, float)
    first, last = _narrowest(counts)
    width = (layer.high - layer.low) / len(counts)
    return Spent(
        steps=65_536 if layer.dtype == "int16" else 256,
        used=(layer.high - layer.low) / layer.scale,
        crowded=(last - first) * width / layer.scale,
        band=(layer.low + first * width, layer.low + last * width),
    )


def _narrowest(counts: NDArray[np.float64]) -> tuple[int, int]:
    """The fewest neighbouring bins that hold `_SHARE` of all: the first, and the one behind the last."""
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    wanted = _SHARE * sums[-1]
    ends = np.searchsorted(sums, sums[:-1] + wanted - 1e-9)
    lengths = np.where(ends <= len(counts), ends - np.arange(len(counts)), len(counts) + 1)
    first = int(np.argmin(lengths))
    return first, int(ends[first])


def _card(layer: Layer, name: str, fact: Spent) -> Html:
    assert layer.scale is not None
    x = Scale(layer.low, layer.high, 2, _WIDTH - 2)
    bottom, top = _HEIGHT - 20, 4
    parts = [
        tag(
            "rect",
            x=x(fact.band[0]),
            y=0.0,
            width=max(x(fact.band[1]) - x(fact.band[0]), 1.0),
            height=float(bottom),
            class_="f-band",
        ),
        charts.histogram(layer.histogram, x, (bottom, top), "f-result", log=True),
        tag("line", x1=0.0, x2=float(_WIDTH), y1=float(bottom), y2=float(bottom), class_="axis"),
    ]
    if layer.low < 0 < layer.high:
        parts.append(tag("line", x1=x(0.0), x2=x(0.0), y1=0.0, y2=bottom + 3.0, class_="axis"))
    step = max((x.end - x.start) * layer.scale / (layer.high - layer.low), 0.7)
    parts.append(
        tag(
            "rect",
            tag("title", "one step"),
            x=(_WIDTH - step) / 2,
            y=_HEIGHT - 12.0,
            width=min(step, 60.0),
            height=8.0,
            class_="f-warn",
        )
    )
    parts.append(charts.write(0, _HEIGHT - 4, charts.number(float(f"{layer.low:.3g}")), "tick"))
    parts.append(charts.write(_WIDTH, _HEIGHT - 4, charts.number(float(f"{layer.high:.3g}")), "tick", "end"))
    flag = "clipped" if fact.clipped else "few steps" if fact.few else None
    badge = tag("span", flag, class_="badge warn") if flag else Html()
    words = (
        f"{_steps(fact.crowded)} of {fact.steps:,} carry 99 %; one step {wording.significant(layer.scale)}"
    )
    if fact.clipped:
        words = f"values reach {fact.used / fact.steps:.1f} × as far as the steps"
    return tag(
        "div",
        tag("div", tag("span", name), badge, class_="head", title=layer.name),
        charts.drawing(_WIDTH, _HEIGHT, f"values of {name}", *parts),
        tag("p", words, class_="soft"),
        class_="card flagged" if flag else "card",
    )


def _steps(count: float) -> str:
    return "less than 1 step" if count < 1 else wording.counted(round(count), "step")
