"""How long an answer is waited for before the request is sent again."""

from __future__ import annotations


class Patience:
    """The retransmission timer of TCP: what answers took so far, and how much that varied.

    An answer to a request that was sent twice says nothing, because it may be to either; after each silence
    the wait doubles until an answer tells better.

    Args:
        first_s: before anything was measured, s.
        least_s: the shortest wait, s.
        limit_s: the longest, s.

    Source: RFC 6298; Karn and Partridge, 1987.
    """

    def __init__(self, first_s: float, least_s: float, limit_s: float) -> None:
        self.wait_s = first_s
        self._least_s, self._limit_s = least_s, limit_s
        self._mean_s = self._deviation_s = 0.0

    def answered(self, took_s: float) -> None:
        """An answer came to a request that was sent once."""
        if self._mean_s:
            self._deviation_s += (abs(took_s - self._mean_s) - self._deviation_s) / 4
            self._mean_s += (took_s - self._mean_s) / 8
        else:
            self._mean_s, self._deviation_s = took_s, took_s / 2
        self.wait_s = min(max(self._mean_s + 4 * self._deviation_s, self._least_s), self._limit_s)

    def silent(self) -> None:
        """None came in time."""
        self.wait_s = min(self.wait_s * 2, self._limit_s)
