"""How long is measured: rounds in which all models have their turn, so that drift slows all of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

_ROUNDS, _FEWEST_ROUNDS, _MOST_ROUNDS = 10, 3, 600
#: A long measurement has more rounds instead of longer ones: each is a point in the plot over time.
_LONGEST_ROUND_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How long each model is measured.

    Attributes:
        runs: inferences of each model; None measures for a time.
        duration_s: of each model, where `runs` does not say.
        warmup_s: before that, not counted; each model is run a few times whatever this says.
    """

    runs: int | None = None
    duration_s: float = 3.0
    warmup_s: float = 0.5

    def rounds(self, once_s: float) -> list[Round]:
        """The rounds of a model.

        Args:
            once_s: what one inference of the slowest takes.
        """
        if self.runs is not None:
            count = min(_ROUNDS, self.runs)
            return [Round(runs=(n + 1) * self.runs // count - n * self.runs // count) for n in range(count)]
        count = min(max(_ROUNDS, math.ceil(self.duration_s / _LONGEST_ROUND_S)), _MOST_ROUNDS)
        fits = int(self.duration_s / once_s) if once_s > 0 else count
        count = min(count, max(_FEWEST_ROUNDS, fits))
        return [Round(seconds=self.duration_s / count)] * count

    def seconds(self, once_s: float) -> float:
        """About what the measurement of one model takes, without its warm-up."""
        if self.runs is not None:
            return self.runs * once_s
        return max(self.duration_s, _FEWEST_ROUNDS * once_s)

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON: the arguments of `Plan`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of one model: at least one inference.

    Attributes:
        runs: inferences; None runs for a time.
        seconds: for which, where `runs` is None.
    """

    runs: int | None = None
    seconds: float = 0.0
