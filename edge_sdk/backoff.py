"""How long to wait before trying again: longer each time, never all at once."""

from __future__ import annotations

import random


class Backoff:
    """Exponential delays with jitter: each is between half and all of twice the one before, up to a limit.

    Args:
        first_s: the first delay, s.
        limit_s: the longest, s.
    """

    def __init__(self, first_s: float = 0.1, limit_s: float = 30.0) -> None:
        self.first_s, self.limit_s = first_s, limit_s
        self._next_s = first_s

    def delay_s(self) -> float:
        """The next delay, s."""
        delay_s = self._next_s
        self._next_s = min(self.limit_s, delay_s * 2)
        return delay_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It works again."""
        self._next_s = self.first_s
