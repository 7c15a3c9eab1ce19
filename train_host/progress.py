"""One line on standard error that says how far a training run is, how fast it goes and when it will end."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

_EVERY_S = 5.0
#: What is said of an epoch besides the figures of the model.
_PLACE = {"epoch", "epochs", "step", "steps", "fold", "folds", "phase", "windows_per_s", "left_s"}
_VALIDATION = "val_"


class ProgressLine:
    """Rewrites its line on a terminal; into a file it writes a line every few seconds, and each stage.

    A note is a line of its own, and stays.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self._last_s = 0.0
        self._open = False

    def __call__(self, facts: dict[str, Any]) -> None:
        """Show what a child reported: a note, a stage, or the figures of an epoch, whole or up to a step."""
        if "note" in facts:
            self.end()
            self.stream.write(f"{facts['note']}\n")
            self.stream.flush()
            return
        now = time.monotonic()
        stage = "stage" in facts
        last = "epoch" in facts and facts["epoch"] == facts["epochs"] and "step" not in facts
        if not self.terminal and not stage and not last and now - self._last_s < _EVERY_S:
            return
        self._last_s = now
        text = _stage(facts) if stage else self._epoch(facts)
        if self.terminal:
            width = shutil.get_terminal_size().columns
            self.stream.write(f"\r\x1b[K{text[: width - 1]}")  # a line that wraps cannot be rewritten
        else:
            self.stream.write(f"{text}\n")
        self._open = self.terminal
        self.stream.flush()

    def end(self) -> None:
        """Leave the terminal at the start of an empty line."""
        if self._open:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self._open = False

    def _epoch(self, facts: dict[str, Any]) -> str:
        parts = []
        if "fold" in facts:
            parts.append(f"fold {facts['fold']}/{facts['folds']}")
        if "phase" in facts:
            parts.append(str(facts["phase"]))
        parts.append(f"epoch {facts['epoch']}/{facts['epochs']}")
        if "step" in facts:
            parts.append(f"{100 * facts['step'] // facts['steps']} %")
        parts.append(_figures(facts, ""))
        if f"{_VALIDATION}loss" in facts:
            parts.append(f"validation: {_figures(facts, _VALIDATION)}")
        if "windows_per_s" in facts:
            parts.append(f"{facts['windows_per_s']:,.0f} windows/s")
        if facts.get("left_s"):
            parts.append(f"at most {duration(facts['left_s'])} left")
        return "  ".join(parts)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(75), duration(7384.4)
    ('1:15', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _stage(facts: dict[str, Any]) -> str:
    where = f" ({facts['device']})" if "device" in facts else ""
    return f"{facts['stage']}{where} …"


def _figures(facts: dict[str, Any], prefix: str) -> str:
    """The figures of one side, the loss first."""
    names = [
        name.removeprefix(prefix)
        for name in facts
        if name not in _PLACE and name.startswith(_VALIDATION) == bool(prefix)
    ]
    names.sort(key=lambda name: name != "loss")
    return "  ".join(f"{name.replace('_', ' ')} {facts[prefix + name]:.3f}" for name in names)
