"""Events: what a threshold finds, and how often it is wrong."""

from __future__ import annotations

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale
from train_host.judging.resampling import Figure
from train_host.judging.thresholds import Operation
from train_host.page.report import Report

_HEIGHT = 320


def render(report: Report) -> Html:
    """The threshold, its figures on both sides, and what others would do."""
    operation = report.operation
    if operation is None:
        return Html()
    settings = operation.settings
    told = (
        f"Recordings were streamed through the decision (smooth {settings.smooth}, hold {settings.hold_s:g} s"
        f"{', background ' + ', '.join(settings.background) if settings.background else ''}). The threshold "
        f"{settings.threshold:.3f} is the lowest from which on the validation side keeps "
        f"{operation.allowed.words}."
    )
    if not operation.kept:
        told = (
            f"No threshold keeps {operation.allowed.words} on the validation side; the highest was taken, "
            f"{settings.threshold:.3f}. A longer hold, more smoothing or more data without events may help."
        )
    return join(
        (
            tag("p", told, class_="lead"),
            tag(
                "div",
                tag("figure", charts.responsive(lambda width: _curve(operation, width)), _legend(operation)),
                _figures(operation),
                class_="side",
            ),
        )
    )


def _figures(operation: Operation) -> Html:
    validation, test = operation.validation, operation.test
    rows = [
        ("events found", *(_share(side.detection_figure()) for side in (validation, test))),
        ("false alarms an hour", *(_number(side.rate_figure()) for side in (validation, test))),
        ("recordings with one", *(_share(side.share_figure()) for side in (validation, test))),
        ("false alarms", *(f"{int(side.false.sum()):,}" for side in (validation, test))),
        ("hours", *(wording.significant(float(side.hours.sum())) for side in (validation, test))),
        ("recordings", *(f"{len(side.false):,}" for side in (validation, test))),
    ]
    note = (
        "Intervals of 95 %: over groups, and of rates as of events that come independently. A false alarm "
        "is an event of another label than the recording's; hours are those of all recordings."
    )
    return tag(
        "div", tables.grid(("", "validation", "test"), rows, numeric=(1, 2)), tag("p", note, class_="soft")
    )


def _share(figure: Figure | None) -> Html:
    if figure is None:
        return join([wording.NOTHING])
    return tables.lines(
        [wording.share(figure.value), tag("span", wording.interval(figure.interval), class_="soft nowrap")]
    )


def _number(figure: Figure | None) -> Html:
    if figure is None:
        return join([wording.NOTHING])
    low, high = figure.interval
    return tables.lines(
        [
            wording.significant(figure.value, 2),
            tag(
                "span",
                f"[{wording.significant(low, 2)}, {wording.significant(high, 2)}]",
                class_="soft nowrap",
            ),
        ]
    )


def _legend(operation: Operation) -> Html:
    chosen = f"the threshold that was chosen, {operation.settings.threshold:.3f}"
    return charts.legend(
        ("f-result", "thresholds, on the test side"), ("f-ink", chosen), ("f-bad", operation.allowed.words)
    )


def _curve(operation: Operation, width: float) -> Html:
    """Events found over false alarms, on the test side; each point is a threshold."""
    allowed = operation.allowed
    points = [(one.measure(allowed), one.detection or 0.0, one.threshold) for one in operation.curve]
    mine = (operation.test.measure(allowed), operation.test.detection or 0.0)
    most = max([x for x, *_ in points] + [mine[0], allowed.value, 1e-9])
    x, y = Scale(0.0, most * 1.05, 44, width - 16), Scale(0.0, 1.04, _HEIGHT - 46, 34)
    words = "false alarms an hour" if allowed.hourly else "share of recordings with a false alarm"
    at = x(allowed.value)
    parts = [
        charts.axes(x, y, (words, "events found"), (charts.number, charts.number)),
        tag("line", x1=at, x2=at, y1=y.start, y2=y.end, class_="gateline"),
        charts.path([(x(a), y(b)) for a, b, _ in points], "s-result thin"),
    ]
    for a, b, threshold in points:
        hint = tag("title", f"threshold {threshold:.3f}: {b:.3f} found, {a:.3g} {words}")
        parts.append(tag("circle", hint, cx=x(a), cy=y(b), r=3.0, class_="f-result"))
    parts.append(tag("circle", cx=x(mine[0]), cy=y(mine[1]), r=8.0, class_="ring"))
    return charts.drawing(width, _HEIGHT, f"events found over {words}", *parts)
