"""What windows are, as far as an architecture cares: signals of sensors, sound, or images."""

from __future__ import annotations

from edge_sdk.dataset import Dataset

SIGNALS, SOUND, IMAGES = "signals", "sound", "images"
#: One channel at this rate or above is sound: its samples say little, its spectrum does, Hz.
LOWEST_SOUND_HZ = 4000.0


def of(shape: tuple[int, ...], rate_hz: float | None) -> str:
    """The kind of windows of that shape.

    Args:
        shape: of one window, without the batch axis.
        rate_hz: of the recordings.

    >>> of((100, 6), 50.0), of((16000, 1), 16000.0), of((28, 28, 1), None)
    ('signals', 'sound', 'images')
    """
    if len(shape) == 3:
        return IMAGES
    return SOUND if shape[-1] == 1 and (rate_hz or 0) >= LOWEST_SOUND_HZ else SIGNALS


def of_dataset(dataset: Dataset) -> str:
    """The kind of a dataset's windows, whatever their length."""
    axes = (0, 0) if dataset.layout == "HWC" else (0,)
    return of((*axes, len(dataset.channels)), dataset.rate_hz)
