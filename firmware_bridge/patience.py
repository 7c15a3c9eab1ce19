"""How long an answer is waited for before the request is sent again."""

from __future__ import annotations

#: A wait may always grow to this, s.
_LONG_S = 1.0


class Patience:
    """A retransmission timer as that of TCP: what answers took so far, and how much that varied.

    An answer to a request that was sent twice says nothing, because it may be to either. After each silence
    the wait doubles, but not beyond four times what answers took, or a second: a line that loses much is not
    slow. One silence is forgotten with the answer; after several in a row the wait stays long until an answer
    tells better.

    Args:
        first_s: before anything was measured, s.
        least_s: the shortest wait, s.
        limit_s: the longest, s.

    Attributes:
        wait_s: until the request is sent again, s.

    Source: RFC 6298; Karn and Partridge, 1987.
    """

    def __init__(self, first_s: float, least_s: float, limit_s: float) -> None:
        self._least_s, self._limit_s, self._most_s = least_s, limit_s, limit_s
        self._estimate_s = self.wait_s = min(first_s, limit_s)
        self._mean_s = self._deviation_s = 0.0

    def asked(self) -> None:
        """A request is sent for the first time."""
        self.wait_s = self._estimate_s

    def extend(self, wait_s: float) -> None:
        """Wait at least so long, until the next request."""
        self.wait_s = max(self.wait_s, wait_s)

    def silent(self) -> None:
        """No answer came in time."""
        self.extend(min(self.wait_s * 2, self._most_s))

    def answered(self, took_s: float, silences: int) -> None:
        """An answer came.

        Args:
            took_s: since the request was sent last, s.
            silences: how often it had been sent before.
        """
        if silences > 1:
            self._estimate_s = self.wait_s
        elif not silences:
            self._measure(took_s)

    def _measure(self, took_s: float) -> None:
        if self._mean_s:
            self._deviation_s += (abs(took_s - self._mean_s) - self._deviation_s) / 4
            self._mean_s += (took_s - self._mean_s) / 8
        else:
            self._mean_s, self._deviation_s = took_s, took_s / 2
        wait_s = self._mean_s + 4 * self._deviation_s
        self._estimate_s = min(max(wait_s, self._least_s), self._limit_s)
        self._most_s = min(max(4 * self._estimate_s, _LONG_S), self._limit_s)
