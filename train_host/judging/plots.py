"""The two pictures of a training run, as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRAIN, _VALIDATION, _BEST = "#1f77b4", "#d95f02", "#555555"


def history_png(history: dict[str, list[float]], best_epoch: int, title: str) -> bytes:
    """Loss, and the first metric beside it, over the epochs, with the epoch that was kept.

    Args:
        history: per epoch ``loss``, perhaps ``accuracy`` or another metric, and perhaps ``val_…`` of each.
        best_epoch: from 1.
        title: of the picture.
    """
    metrics = [key for key in history if key != "loss" and not key.startswith("val_")]
    keys = ["loss", *metrics[:1]]
    drawing = figure(4.5 * len(keys), 3.8)
    epochs = range(1, len(history["loss"]) + 1)
    for axes, key in zip(drawing.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
        axes.plot(epochs, history[key], color=_TRAIN, label="training")
        if f"val_{key}" in history:
            axes.plot(epochs, history[f"val_{key}"], color=_VALIDATION, label="validation")
        axes.axvline(best_epoch, color=_BEST, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=key.replace("_", " "), xlim=(0.5, len(epochs) + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.set_ylim(**{"top": 1} if key.endswith("accuracy") else {"bottom": 0})
    drawing.axes[-1].legend(loc="best", framealpha=0.8)
    drawing.suptitle(title)
    return png(drawing)


def confusion_png(matrix: NDArray[np.int64], labels: Sequence[str], title: str) -> bytes:
    """A confusion matrix: counts as numbers, shares of each true label as shades.

    Args:
        matrix: int64 [labels, labels], rows are true labels.
        labels: in the order of the rows.
        title: of the picture.
    """
    size = max(4.2, 0.62 * len(labels) + 2.2)
    drawing = figure(size + 0.9, size)
    axes = drawing.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column]:
            shade = "white" if shares[row, column] > 0.55 else "black"
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color=shade, fontsize=9
            )
    slant = {"rotation": 45, "ha": "right"} if max(map(len, labels)) > 4 else {}
    axes.set_xticks(range(len(labels)), labels, **slant)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    drawing.colorbar(image, ax=axes, label="share of the true label", shrink=0.8)
    return png(drawing)


def figure(width: float, height: float) -> Any:
    """An empty drawing, inches."""
    # Figure and not pyplot: no window system, no global state
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing


def png(drawing: Any) -> bytes:
    """A drawing as a file."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
