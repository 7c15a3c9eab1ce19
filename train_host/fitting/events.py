"""Curves for TensorBoard: a folder for training and one for validation, so that one plot shows both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

#: What Keras puts ahead of the name of a figure on the validation side.
_VALIDATION = "val_"


class Events:
    """Writes the figures of each epoch.

    Args:
        folder: for event files; None writes nothing. A run that goes on adds files to it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._writers: dict[str, Any] = {}

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        """The figures of an epoch, from 1."""
        if self.folder is None:
            return
        for name, value in figures.items():
            side = "validation" if name.startswith(_VALIDATION) else "training"
            with self._writer(side).as_default():
                tf.summary.scalar(name.removeprefix(_VALIDATION), value, step=epoch)
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Complete the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, side: str) -> Any:
        if side not in self._writers:
            self._writers[side] = tf.summary.create_file_writer(str((self.folder or Path()) / side))
        return self._writers[side]
