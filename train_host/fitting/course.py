"""How far a training is: all that decides, besides the variables, how it goes on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Course:
    """The way from the first epoch to the last.

    Attributes:
        epochs: at most so many.
        patience: it ends after so many epochs without a better ``val_loss``; 0 for never.
        epoch: complete ones.
        step: complete ones of the epoch after those.
        history: figures by name, one an epoch.
        seconds: spent so far, over all interruptions.
    """

    epochs: int
    patience: int = 0
    epoch: int = 0
    step: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def complete(self, figures: dict[str, float]) -> None:
        """An epoch has ended with these figures."""
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)
        self.epoch, self.step = self.epoch + 1, 0

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are kept, from 1: the last, or with patience that of the least loss."""
        watched = self.history.get("val_loss", []) if self.patience else []
        known = [value for value in watched if not math.isnan(value)]
        return watched.index(min(known)) + 1 if known else self.epoch

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        tired = bool(self.patience) and self.epoch - self.best_epoch >= self.patience
        return self.epoch >= self.epochs or tired

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint holds them."""
        return asdict(self)

    def restore(self, plain: dict[str, Any]) -> None:
        """Go to where `as_dict` was."""
        for name, value in plain.items():
            setattr(self, name, value)
