"""The pictures of tasks that do not choose one label, as PNG files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import detection
from edge_sdk.contract import Channel
from train_host.judging.judged import Judged
from train_host.judging.plots import figure, png

_RIGHT, _WRONG, _LINE = "#1f77b4", "#d95f02", "#555555"
#: Windows that are drawn as dots, values and labels that get a picture of their own.
_DOTS, _PICTURES = 4000, 6


def values_png(judged: Judged) -> bytes:
    """What was said over what is true, for each value; on the line both are equal."""
    targets = judged.dataset.targets[:_PICTURES]
    drawing = figure(4.2 * len(targets) + 0.4, 4.2)
    chosen = np.unique(np.linspace(0, len(judged.windows) - 1, _DOTS).round().astype(int))
    for i, (target, axes) in enumerate(
        zip(targets, drawing.subplots(1, len(targets), squeeze=False)[0], strict=True)
    ):
        _values(axes, target, judged.windows.y[chosen, i], judged.outputs[chosen, i])
    drawing.suptitle(f"{judged.name}: {judged.result.headline()}")
    return png(drawing)


def precision_recall_png(judged: Judged) -> bytes:
    """Precision over recall as the threshold falls, a line a label."""
    drawing = figure(6.4, 4.6)
    axes = drawing.subplots()
    for i, label in enumerate(judged.result.per_label):
        if label.average_precision is None:
            continue
        order = np.argsort(-judged.outputs[:, i], kind="stable")
        hits = np.cumsum(judged.windows.y[order, i])
        name = f"{label.label}: {label.average_precision:.2f}"
        axes.plot(hits / hits[-1], hits / np.arange(1, len(hits) + 1), label=name, linewidth=1.4)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.set_title(f"{judged.name}: {judged.result.headline()}", fontsize=10)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(loc="lower left", title="average precision", fontsize=9, framealpha=0.8)
    return png(drawing)


def scores_png(judged: Judged, threshold: float) -> bytes:
    """How often each score is said to normal windows and to others; beside it the ROC curve."""
    scores, odd = judged.outputs[:, 0], judged.windows.y > 0
    both = bool(odd.any() and not odd.all())
    drawing = figure(9.0 if both else 5.4, 4.0)
    pictures = drawing.subplots(1, 2 if both else 1, squeeze=False)[0]
    bins = np.linspace(0, 1, 41)
    for mine, colour, name in ((~odd, _RIGHT, "normal"), (odd, _WRONG, "not normal")):
        if mine.any():
            pictures[0].hist(scores[mine], bins, color=colour, alpha=0.6, label=name, density=True)
    pictures[0].axvline(threshold, color=_LINE, linestyle=":", label="threshold")
    pictures[0].set(xlabel="score", ylabel="density of windows", xlim=(0, 1))
    pictures[0].legend(framealpha=0.8)
    if both:
        _roc(pictures[1], scores, odd, threshold)
    drawing.suptitle(f"{judged.name}: {judged.result.headline()}", fontsize=10)
    return png(drawing)


def _values(axes: Any, target: Channel, true: NDArray[Any], said: NDArray[Any]) -> None:
    low, high = float(min(true.min(), said.min())), float(max(true.max(), said.max()))
    axes.plot([low, high], [low, high], color=_LINE, linewidth=1)
    axes.plot(true, said, ".", color=_RIGHT, alpha=0.4, markersize=4)
    unit = f", {target.unit}" if target.unit else ""
    axes.set(xlabel=f"true {target.name}{unit}", ylabel=f"said{unit}")
    axes.grid(alpha=0.3)


def _roc(axes: Any, scores: NDArray[Any], odd: NDArray[np.bool_], threshold: float) -> None:
    alarms, hits = detection.curve(scores, odd)
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1, linestyle=":")
    axes.plot(alarms, hits, color=_RIGHT)
    there = (scores[~odd] >= threshold).mean(), (scores[odd] >= threshold).mean()
    axes.plot(*there, "o", color=_WRONG, label="at the threshold")
    axes.set(xlabel="false alarms", ylabel="anomalies found", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right", framealpha=0.8)
    axes.grid(alpha=0.3)
