"""What goes on beside the fitting: who hears of it, what it leaves behind, who may end it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from train_host.fitting.checkpoints import Checkpoints

Report = Callable[[dict[str, Any]], None]


class Interrupted(Exception):  # noqa: N818 - not an error: somebody wanted it
    """A training was asked to stop and has left a checkpoint, where it may.

    Args:
        epoch: that it stopped in, from 1.
        epochs: that there would have been.
    """

    def __init__(self, epoch: int, epochs: int) -> None:
        self.epoch, self.epochs = epoch, epochs
        super().__init__(f"in epoch {epoch} of {epochs}")


def _silent(facts: dict[str, Any]) -> None:
    return


@dataclass(frozen=True)
class Session:
    """Of one or several fits; the default keeps nothing and tells nobody.

    Attributes:
        report: called every now and then, and at the end of each epoch, with its figures.
        checkpoints: where they go; None for none.
        events: a folder for TensorBoard; None for none.
        stop: a file; fitting stops when it appears.
    """

    report: Report = _silent
    checkpoints: Checkpoints | None = None
    events: Path | None = None
    stop: Path | None = None

    def of(self, phase: str) -> Session:
        """The same for another fit of this run, with checkpoints and events of its own.

        Args:
            phase: letters, digits and hyphens.
        """
        return replace(
            self,
            report=lambda facts: self.report({"phase": phase} | facts),
            checkpoints=self.checkpoints and self.checkpoints.of(phase),
            events=self.events and self.events / phase,
        )

    @property
    def asked_to_stop(self) -> bool:
        """Whether somebody wants the fitting to end."""
        return self.stop is not None and self.stop.exists()
