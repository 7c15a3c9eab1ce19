"""How long to wait before trying again: longer each time, never all at once."""

from __future__ import annotations

import random


class Backoff:
    """Exponential delays with jitter: each is between half and all of twice the one before, up to a limit.

    Args:
        first_s: the first delay, s.
        limit_s: the longest, s.
        longest_asked_s: the longest that the other side may ask for, s.
    """

    def __init__(
        self, first_s: float = 0.1, limit_s: float = 30.0, *, longest_asked_s: float = 300.0
    ) -> None:
        self.first_s, self.limit_s, self.longest_asked_s = first_s, limit_s, longest_asked_s
        self._next_s = first_s

    def delay_s(self, asked_s: float | None = None) -> float:
        """The next delay, s: no shorter than the other side asked for."""
        delay_s = self._next_s
        self._next_s = min(self.limit_s, delay_s * 2)
        return max(delay_s * random.uniform(0.5, 1.0), min(asked_s or 0.0, self.longest_asked_s))

    def reset(self) -> None:
        """It works again."""
        self._next_s = self.first_s
