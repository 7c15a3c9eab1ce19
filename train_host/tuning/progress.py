"""What is said while a search goes on: a line for each trial that ended, and one of those running."""

from __future__ import annotations

import textwrap
import threading
from typing import Any, TextIO

from train_host.progress import ProgressLine, duration
from train_host.tuning import outcome
from train_host.tuning.front import Tried
from train_host.tuning.space import names_of

#: Characters of why a trial has failed; the table has all of it.
_LONGEST = 200


class Progress:
    """Lines on standard error.

    Args:
        stream: another place for them.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line, self._lock = ProgressLine(stream), threading.Lock()
        self._now: dict[int, str] = {}
        self._spent_s: list[float] = []
        self._done = self._trials = 0
        self._size = 1

    def begin(self, before: int, trials: int, size: int) -> None:
        """A search, in which some trials have ended already, of so many in all; so many at a time."""
        self._done, self._trials, self._size = before, trials, size
        if before:
            self.note(f"goes on after {before} of {self._trials} trials")

    def working(self, number: int, facts: dict[str, Any]) -> None:
        """What a trial reports; shown on a terminal only, where it leaves no line behind."""
        with self._lock:
            self._now[number] = _words(facts) or self._now.get(number, "")
            if self._line.terminal:
                running = "   ".join(f"trial {trial}: {text}" for trial, text in sorted(self._now.items()))
                self._line({"stage": f"{self._done}/{self._trials}   {running}"})

    def ended(self, tried: Tried, done: int) -> None:
        """A trial has ended, and so many have."""
        with self._lock:
            self._now.pop(tried.number, None)
            self._done = done
            self._spent_s.append(tried.result.seconds)
            left = self._left()
            self._line({"note": f"{done}/{self._trials}  {_line(tried)}{left}"})

    def note(self, text: str) -> None:
        """Something else to be read."""
        with self._lock:
            self._line({"note": text})

    def final(self, facts: dict[str, Any]) -> None:
        """What the training of the best model reports."""
        with self._lock:
            self._line(facts)

    def end(self) -> None:
        """Leave the terminal at the start of an empty line."""
        with self._lock:
            self._line.end()

    def _left(self) -> str:
        """How long the others will take, if they take as long as these did."""
        rounds = (self._trials - self._done) / self._size
        mean_s = sum(self._spent_s) / len(self._spent_s)
        return f"  about {duration(rounds * mean_s)} left" if rounds else ""


def _words(facts: dict[str, Any]) -> str:
    if "stage" in facts:
        return str(facts["stage"])
    if "epoch" in facts:
        of = f"/{facts['epochs']}" if "epochs" in facts else ""
        return f"epoch {facts['epoch']}{of}"
    return ""


def _line(tried: Tried) -> str:
    result = tried.result
    shown = "  ".join(names_of(tried.values))
    if result.failure is not None:
        why = textwrap.shorten(result.failure, _LONGEST, placeholder=" …")
        return f"trial {tried.number} failed: {why}  with {shown}"
    figures = "  ".join(
        f"{name} {outcome.cell(name, value)}"
        for name, value in result.figures.items()
        if value is not None and name in outcome.SHOWN
    )
    beyond = f"  beyond: {', '.join(tried.beyond)}" if tried.beyond else ""
    return f"trial {tried.number}: {figures}{beyond}  {result.seconds:.0f} s  with {shown}"
