"""The inputs on which original and result are furthest apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.page import decisions, inputs, tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report

_SHOWN = 6
#: Scores or values that are listed with each.
_LISTED = 4
#: Scores below this are not worth a line.
_NOTICED = 0.001


@dataclass(frozen=True)
class _Output:
    """The output that is looked at.

    Attributes:
        before: float [n, …], the original's.
        after: the same of the result.
        scores: whether they are scores of classes, the largest of which decides.
        labels: true classes, int [n, …], or None.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    scores: bool
    labels: NDArray[np.int64] | None

    @property
    def decided(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class of each input, or of each place in it."""
        return self.before.argmax(-1), self.after.argmax(-1)

    @property
    def distance(self) -> NDArray[np.float64]:
        """float64 [n]: the largest difference within each input's output."""
        apart = np.abs(self.before.astype(np.float64) - self.after)
        return np.asarray(np.nan_to_num(apart.reshape(len(apart), -1).max(axis=1), nan=np.inf))


def render(report: Report) -> Html:
    """The worst inputs, drawn, with what both models say; nothing where both say the same."""
    if not report.chosen.outputs:
        return Html()
    output = _output(report)
    flipped = _flipped(output)
    order = [i for i in _order(output, flipped) if output.distance[i] > 0][:_SHOWN]
    if not order:
        return Html()
    described = report.contract.input if report.contract and len(report.evidence.inputs) == 1 else None
    samples = report.evidence.inputs[0]
    how = inputs.view(samples, described)
    several = len(report.evidence.inputs) > 1
    parts = [tag("p", _told(output, flipped), class_="lead")]
    if several:
        parts.append(tag("p", f"Drawn is the first of {len(report.evidence.inputs)} inputs.", class_="soft"))
    parts.append(how.legend)
    cards = (
        tag(
            "div",
            tag("div", _headline(report, output, i), class_="head"),
            tag("div", inputs.draw(samples[i], how), _places(output, i), class_="drawn"),
            _said(report, output, i),
            class_="card",
        )
        for i in order
    )
    parts.append(tag("div", *cards, class_="cards"))
    return join(parts)


def _output(report: Report) -> _Output:
    """The labelled output; without labels that which differs most."""
    pair, evidence = report.labelled, report.evidence
    if pair is not None:
        before, after = report.original[pair.index], report.chosen.outputs[pair.index]
        assert evidence.labels is not None
        if before.size == evidence.labels.size:  # one score stands for the second of two classes
            shape = (*evidence.labels.shape, 1)
            before, after = (
                np.concatenate([1 - array.reshape(shape), array.reshape(shape)], axis=-1)
                for array in (before, after)
            )
        return _Output(before, after, scores=True, labels=evidence.labels)
    worst = report.verdict.outputs.index(report.verdict.difference)
    before, after = report.original[worst], report.chosen.outputs[worst]
    return _Output(before, after, scores=decisions.probabilities(before), labels=None)


def _flipped(output: _Output) -> NDArray[np.float64]:
    """float64 [n]: the share of an input's places that were decided otherwise; 0 or 1 where it has one."""
    if not output.scores:
        return np.zeros(len(output.before))
    before, after = output.decided
    return np.asarray((before != after).reshape(len(before), -1).mean(axis=1), np.float64)


def _order(output: _Output, flipped: NDArray[np.float64]) -> list[int]:
    """Other decisions first, those where the original was surest ahead; then by distance."""
    sure = (
        output.before.reshape(len(output.before), -1).max(axis=1) if output.scores else np.zeros(len(flipped))
    )
    keys = [
        (-flipped[i], -sure[i] if flipped[i] else 0.0, -output.distance[i], i) for i in range(len(flipped))
    ]
    return [i for *_, i in sorted(keys)]


def _told(output: _Output, flipped: NDArray[np.float64]) -> str:
    count = int((flipped > 0).sum())
    if not output.scores:
        return "The inputs whose outputs moved most."
    if not count:
        return "No decision changed; these are the inputs whose scores moved most."
    of = f"{count:,} of {wording.counted(len(flipped), 'input')}"
    if output.before.ndim > 2:
        return (
            f"In {of} some places are decided otherwise; those with most come first. White marks say where."
        )
    told = f"{of} {'is' if count == 1 else 'are'} decided otherwise"
    told += "; those of which the original was surest come first." if count > 1 else "."
    if output.labels is not None and output.labels.ndim == 1:
        before, after = (decided == output.labels for decided in output.decided)
        told += (
            f" {int((before & ~after).sum()):,} became wrong, {int((~before & after).sum()):,} became right."
        )
    return told


def _headline(report: Report, output: _Output, index: int) -> Html:
    names = report.contract.output.labels if report.contract else ()
    parts = [f"Input {index}"]
    if report.evidence.groups is not None:
        parts.append(f", {wording.clipped(report.evidence.groups[index])}")
    if output.labels is not None and output.labels.ndim == 1:
        parts.append(f": truly {wording.clipped(wording.label(names, int(output.labels[index])))}")
    return join(["".join(parts)])


def _places(output: _Output, index: int) -> Html:
    """Where in a picture the decision changed; nothing for other inputs."""
    before, after = output.before[index], output.after[index]
    if not output.scores or before.ndim != 3 or min(before.shape[:2]) < 2:
        return Html()
    moved = before.argmax(-1) != after.argmax(-1)
    return inputs.draw(moved.astype(np.float32), inputs.View("picture"))


def _said(report: Report, output: _Output, index: int) -> Html:
    """What both models say to it."""
    names = report.contract.output.labels if report.contract else ()
    before, after = output.before[index], output.after[index]
    if before.ndim > 1:
        if output.scores:
            moved = before.argmax(-1) != after.argmax(-1)
            return tag("p", f"{int(moved.sum()):,} of {moved.size:,} places decided otherwise", class_="soft")
        return tag(
            "p",
            f"largest difference {wording.significant(output.distance[index])} of {before.size:,} values",
            class_="soft",
        )
    apart = np.abs(before.astype(np.float64) - after)
    rank = np.maximum(before, after) if output.scores else np.nan_to_num(apart, nan=np.inf)
    listed = np.argsort(-rank, kind="stable")[:_LISTED]
    if output.scores:  # what neither takes into account is left out, but there are two at least
        listed = listed[: max(int((rank[listed] >= _NOTICED).sum()), 2)]
    probable = output.scores and bool(before.min() >= 0 and before.max() <= 1)
    rows = [
        (
            wording.clipped(wording.label(names, int(i)), 20),
            *(
                _score(float(array[i]), probable=probable, decides=output.scores and int(array.argmax()) == i)
                for array in (before, after)
            ),
        )
        for i in (listed if output.scores else np.sort(listed))
    ]
    what = "class" if output.scores else "value"
    table = tables.grid((what, "original", "converted"), rows, numeric=(1, 2))
    return join((table, tables.and_more(len(listed), len(before), what)))


def _score(value: float, *, probable: bool, decides: bool) -> Html:
    words = f"{value:.3f}" if probable else wording.significant(value)
    return tag("strong", words) if decides else join([words])
