"""The two pictures of a training run, as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRAIN, _VALIDATION, _BEST = "#1f77b4", "#d95f02", "#555555"


def history_png(history: dict[str, list[float]], best_epoch: int, title: str) -> bytes:
    """Loss and accuracy over the epochs, with the epoch that was kept.

    Args:
        history: per epoch ``loss``, ``accuracy``, and perhaps ``val_loss``, ``val_accuracy``.
        best_epoch: from 1.
        title: of the picture.
    """
    figure = _figure(9.0, 3.8)
    epochs = range(1, len(history["loss"]) + 1)
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, history[key], color=_TRAIN, label="training")
        if f"val_{key}" in history:
            axes.plot(epochs, history[f"val_{key}"], color=_VALIDATION, label="validation")
        axes.axvline(best_epoch, color=_BEST, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=key, xlim=(0.5, len(epochs) + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[1].set_ylim(top=1)
    figure.axes[1].legend(loc="best", framealpha=0.8)
    figure.suptitle(title)
    return _png(figure)


def confusion_png(matrix: NDArray[np.int64], labels: Sequence[str], title: str) -> bytes:
    """A confusion matrix: counts as numbers, shares of each true label as shades.

    Args:
        matrix: int64 [labels, labels], rows are true labels.
        labels: in the order of the rows.
        title: of the picture.
    """
    size = max(4.2, 0.62 * len(labels) + 2.2)
    figure = _figure(size + 0.9, size)
    axes = figure.subplots()
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
    figure.colorbar(image, ax=axes, label="share of the true label", shrink=0.8)
    return _png(figure)


def _figure(width: float, height: float) -> Any:
    # Figure and not pyplot: no window system, no global state
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
