"""One line on standard error that says how far a training run is."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

_EVERY_S = 5.0


class ProgressLine:
    """Rewrites its line on a terminal; into a file it writes a line every few seconds, and each stage."""

    def __init__(self, epochs: int, stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self._last_s = 0.0
        self._open = False

    def __call__(self, facts: dict[str, Any]) -> None:
        """Show what a child reported: a stage, or the figures of an epoch."""
        now = time.monotonic()
        stage = "stage" in facts
        last = facts.get("epoch") == self.epochs
        if not self.terminal and not stage and not last and now - self._last_s < _EVERY_S:
            return
        self._last_s = now
        if self.terminal:
            self.stream.write("\r\x1b[K")
        self.stream.write(self._stage(facts) if stage else self._epoch(facts))
        if not self.terminal:
            self.stream.write("\n")
        self._open = self.terminal
        self.stream.flush()

    def end(self) -> None:
        """Leave the terminal at the start of an empty line."""
        if self._open:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self._open = False

    def _stage(self, facts: dict[str, Any]) -> str:
        where = f" ({facts['device']})" if "device" in facts else ""
        return f"{facts['stage']}{where} …"

    def _epoch(self, facts: dict[str, Any]) -> str:
        fold = f"fold {facts['fold']}/{facts['folds']}  " if "fold" in facts else ""
        figures = f"loss {facts['loss']:.3f}  accuracy {facts['accuracy']:.3f}"
        if "val_loss" in facts:
            figures += f"  validation: loss {facts['val_loss']:.3f}  accuracy {facts['val_accuracy']:.3f}"
        return f"{fold}epoch {facts['epoch']}/{self.epochs}  {figures}"
