"""How the values that a regression is to learn are spread."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, wording
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale, around
from edge_sdk.contract import Channel
from train_host.data.report.content import Content

#: Columns of a histogram, its height, and targets that are drawn.
_COLUMNS, _HEIGHT, _DRAWN = 24, 170, 12


def render(content: Content) -> Html:
    """A histogram of each target; nothing for labels."""
    dataset = content.dataset
    known = [r.target for r in dataset.recordings if r.target is not None]
    if dataset.task != "regression" or not known:
        return Html()
    targets = dataset.targets or (Channel("target"),)
    plots = [
        tag("figure", charts.responsive(partial(_histogram, target, values)))
        for target, values in list(zip(targets, np.array(known).T, strict=True))[:_DRAWN]
    ]
    said = (
        f"The values of {wording.counted(len(known), 'recording')}. A model knows nothing of values that it "
        "has never seen."
    )
    return join((tag("p", said, class_="lead"), tag("div", *plots, class_="side")))


def _histogram(target: Channel, values: NDArray[np.float64], width: float) -> Html:
    low, high = around(values.tolist(), least=1e-9, margin=0.02)
    counts, _ = np.histogram(values, bins=_COLUMNS, range=(low, high))
    x = Scale(low, high, 40, width - 16)
    y = Scale(0, max(int(counts.max()), 1) * 1.05, _HEIGHT - 46, 30)
    name = wording.clipped(target.name)
    title = f"{name}, {target.unit}" if target.unit else name
    parts = [
        charts.axes(x, y, (title, "recordings"), (charts.number, charts.number)),
        charts.histogram(counts.tolist(), x, (y.start, y(int(counts.max()))), "f-result"),
    ]
    words = f"{title}: {values.min():.4g} to {values.max():.4g}"
    return charts.drawing(width, _HEIGHT, words, *parts)
