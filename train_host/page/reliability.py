"""Confidence: how often the model is right when it says how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale
from train_host.judging.calibration import Calibration
from train_host.judging.reliability import BINS, Bin, Reliability
from train_host.judging.resampling import Figure
from train_host.page.report import Report

_HEIGHT = 330


def render(report: Report) -> Html:
    """What was done, the figures before and after, the reliability curve."""
    calibrated = report.calibrated
    if calibrated is None:
        return Html()
    return join(
        (
            tag("p", _told(calibrated), class_="lead"),
            tag(
                "div",
                tag(
                    "figure", charts.responsive(lambda width: _curve(calibrated, width)), _legend(calibrated)
                ),
                _figures(calibrated),
                class_="side",
            ),
        )
    )


def _told(calibrated: Calibration) -> str:
    choice = calibrated.choice
    if not choice.applied:
        return f"The scores are as the network was trained: {choice.reason}."
    temperatures = sorted(choice.temperatures)
    value = (
        f"{temperatures[0]:.2f}"
        if len(temperatures) == 1
        else f"{temperatures[0]:.2f} to {temperatures[-1]:.2f}, one a label"
    )
    direction = "less sure" if temperatures[len(temperatures) // 2] > 1 else "surer"
    return (
        f"The temperature {value}, chosen on {wording.counted(choice.n, 'validation window')}, makes the "
        f"model {direction}; it lies in the weights of the last layer. Which label wins did not change."
    )


def _figures(calibrated: Calibration) -> Html:
    before, after = calibrated.before, calibrated.after
    changed = calibrated.choice.applied
    names = (
        ("expected calibration error", "ece"),
        ("Brier score", "brier"),
        ("negative log-likelihood", "nll"),
    )
    rows = []
    for name, key in names:
        first, second = getattr(before, key), getattr(after, key)
        rows.append((name, _cell(first), *([_cell(second)] if changed else [])))
    head = ("on the test side", "as trained", "as kept") if changed else ("on the test side", "")
    parts = [tables.grid(head, rows, numeric=range(1, len(head)))]
    if calibrated.gain is not None:
        low, high = calibrated.gain.interval
        sure = "The gain is certain" if low > 0 else "It is a loss" if high < 0 else "The gain is not certain"
        parts.append(
            tag(
                "p",
                f"Log-likelihood gained a window: {wording.significant(calibrated.gain.value)} "
                f"[{wording.significant(low)}, {wording.significant(high)}], paired. {sure}.",
                class_="soft",
            )
        )
    parts.append(
        tag(
            "p",
            "All three are better when smaller. Intervals of 95 % are drawn over groups and over recordings.",
            class_="soft",
        )
    )
    return tag("div", *parts)


def _cell(figure: Figure) -> Html:
    low, high = figure.interval
    return tables.lines(
        [f"{figure.value:.3f}", tag("span", wording.interval((low, high)), class_="soft nowrap")]
    )


def _legend(calibrated: Calibration) -> Html:
    if not calibrated.choice.applied:
        return charts.legend(("f-result", "as kept"), ("f-mid", "windows, by confidence"))
    return charts.legend(
        ("f-original", "as trained"), ("f-result", "as kept"), ("f-mid", "windows, by confidence")
    )


def _curve(calibrated: Calibration, width: float) -> Html:
    """Accuracy over confidence; below, how many windows have which confidence."""
    lowest = min(one.confidence for side in (calibrated.before, calibrated.after) for one in side.curve)
    start = min(int(lowest * BINS), BINS - 1) / BINS
    x, y = Scale(start, 1.0, 40, width - 14), Scale(0.0, 1.0, _HEIGHT - 96, 30)
    parts = [
        charts.axes(x, y, ("", "share that was right"), (charts.number, charts.number)),
        charts.path([(x(start), y(start)), (x(1.0), y(1.0))], "diagonal"),
    ]
    drawn: list[tuple[Reliability, str]] = [(calibrated.after, "result")]
    if calibrated.choice.applied:
        drawn.insert(0, (calibrated.before, "original"))
    for side, kind in drawn:
        parts += _line(side.curve, x, y, kind)
    parts.append(_counts(calibrated.after.curve, x))
    return charts.drawing(width, _HEIGHT, "reliability curve", *parts)


def _line(curve: Sequence[Bin], x: Scale, y: Scale, kind: str) -> list[Html]:
    points = [(x(one.confidence), y(one.accuracy)) for one in curve]
    parts = [charts.path(points, f"s-{kind} thin")] if len(points) > 1 else []
    for one, (at_x, at_y) in zip(curve, points, strict=True):
        hint = (
            f"said {one.confidence:.2f}, right {one.accuracy:.2f} "
            f"{wording.interval(one.interval)}, {wording.counted(one.n, 'window')}"
        )
        if kind == "result":
            low, high = (y(bound) for bound in one.interval)
            parts.append(tag("line", x1=at_x, x2=at_x, y1=low, y2=high, class_="whisker"))
        parts.append(tag("circle", tag("title", hint), cx=at_x, cy=at_y, r=4.0, class_=f"f-{kind}"))
    return parts


def _counts(curve: Sequence[Bin], x: Scale) -> Html:
    bottom, top = _HEIGHT - 36.0, _HEIGHT - 74.0
    most = max(one.n for one in curve)
    parts = [tag("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis")]
    for one in curve:
        first = max(int(one.confidence * BINS) / BINS, x.low) if one.confidence < 1 else (BINS - 1) / BINS
        left, right = x(first), x(first + 1 / BINS)
        height = max((bottom - top) * one.n / most, 1.0)
        hint = tag("title", wording.counted(one.n, "window"))
        parts.append(
            tag(
                "rect",
                hint,
                x=left + 1,
                y=bottom - height,
                width=max(right - left - 2, 1.0),
                height=height,
                class_="f-mid",
            )
        )
    parts.append(charts.write((x.start + x.end) / 2, bottom + 30, "confidence", "title", "middle"))
    return join(parts)
