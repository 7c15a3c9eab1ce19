"""What the channels are, and what was seen of them."""

from __future__ import annotations

import numpy as np

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from train_host.data.report.content import Content

_ROWS = 64


def render(content: Content) -> Html:
    """A row a channel: unit, range as declared, and as recorded."""
    if not content.portraits:
        return Html()
    low = np.min([one.low for one in content.portraits], axis=0)
    high = np.max([one.high for one in content.portraits], axis=0)
    weights = np.array([one.length for one in content.portraits])
    mean = np.average([one.mean for one in content.portraits], axis=0, weights=weights)
    power = np.average([one.power for one in content.portraits], axis=0, weights=weights)
    spread = np.sqrt(np.maximum(power - mean**2, 0))
    rows = []
    for i, channel in enumerate(content.dataset.channels[:_ROWS]):
        declared = wording.NOTHING
        used: object = wording.NOTHING
        if channel.range is not None:
            declared = f"{channel.range[0]:g} … {channel.range[1]:g}"
            reach = float((high[i] - low[i]) / (channel.range[1] - channel.range[0]))
            used = tag("div", charts.bar(reach, "f-result", f"{reach:.0%} of the range"), class_="spark")
        seen = f"{wording.significant(float(low[i]))} … {wording.significant(float(high[i]))}"
        usual = f"{wording.significant(float(mean[i]))} ± {wording.significant(float(spread[i]))}"
        rows.append(
            (wording.clipped(channel.name), channel.unit or wording.NOTHING, declared, seen, used, usual)
        )
    said = (
        "Ranges as declared in dataset.toml and as recorded; mean and standard deviation over all. A channel "
        "that uses little of its range loses bits; one without a range is not watched on the device."
    )
    head = ("channel", "unit", "range", "recorded", "of the range", "mean ± deviation")
    table = tables.grid(head, rows, numeric=(2, 3, 5))
    more = tables.and_more(len(rows), len(content.dataset.channels), "channel")
    return join((tag("p", said, class_="lead"), table, more))
