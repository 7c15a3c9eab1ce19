"""Charts of outputs that are no choice of one label: values over what is true, ROC, precision over recall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, wording
from converters.page.markup import Html, tag
from converters.page.scales import Scale, around

_HEIGHT = 320
#: Windows that are drawn as dots, and points of a curve.
_DOTS, _POINTS = 2000, 400


def scatter(true: NDArray[np.float64], said: NDArray[np.float64], name: str, unit: str) -> Html:
    """A value that was said over what is true; on the dashed line both are equal.

    Args:
        true: [n].
        said: [n].
        name: of the value.
        unit: of it.
    """
    chosen = np.unique(np.linspace(0, len(true) - 1, _DOTS).round().astype(int))
    low, high = around([float(value) for side in (true, said) for value in (side.min(), side.max())])
    title = f"{wording.clipped(name, 24)}{f' [{wording.clipped(unit, 12)}]' if unit else ''}"

    def draw(width: float) -> Html:
        x, y = Scale(low, high, 56, width - 14), Scale(low, high, _HEIGHT - 46, 30)
        dots = "".join(f"M{x(float(true[i])):.1f} {y(float(said[i])):.1f}h.01" for i in chosen)
        return charts.drawing(
            width,
            _HEIGHT,
            f"{title}: said over true",
            charts.axes(x, y, ("true", f"said: {title}"), (charts.number, charts.number)),
            charts.path([(x(low), y(low)), (x(high), y(high))], "diagonal"),
            tag("path", d=dots, class_="dots"),
        )

    return tag("figure", charts.responsive(draw))


def shares(
    lines: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]],
    titles: tuple[str, str],
    *,
    point: tuple[float, float] | None = None,
    diagonal: bool = False,
) -> Html:
    """Curves of one share over another, both from 0 to 1.

    Args:
        lines: names, and the points [n] of x and of y.
        titles: of x and y.
        point: one that is ringed: where the threshold is.
        diagonal: draw where chance would be.
    """

    def draw(width: float) -> Html:
        x, y = Scale(0.0, 1.0, 44, width - 16), Scale(0.0, 1.0, _HEIGHT - 46, 30)
        parts = [charts.axes(x, y, titles, (charts.number, charts.number))]
        if diagonal:
            parts.append(charts.path([(x(0.0), y(0.0)), (x(1.0), y(1.0))], "diagonal"))
        for number, (_, across, up) in enumerate(lines):
            chosen = np.unique(np.linspace(0, len(across) - 1, _POINTS).round().astype(int))
            places = [(x(float(across[i])), y(float(up[i]))) for i in chosen]
            parts.append(charts.path(places, f"s{number % 8} thin"))
        if point is not None:
            parts.append(tag("circle", cx=x(point[0]), cy=y(point[1]), r=7.0, class_="ring"))
        return charts.drawing(width, _HEIGHT, f"{titles[1]} over {titles[0]}", *parts)

    names = [(f"f{number % 8}", wording.clipped(name, 28)) for number, (name, *_) in enumerate(lines)]
    legend = charts.legend(*names) if len(names) > 1 else Html()
    return tag("figure", charts.responsive(draw), legend)
