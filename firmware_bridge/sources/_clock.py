"""A board's clock on the clock of this machine."""

from __future__ import annotations

import math
from collections import deque

#: Of each such stretch the message that came soonest is kept; and of so many stretches, s.
_STRETCH_S, _STRETCHES = 1.0, 64
#: A message that comes so much earlier than any could: the board's clock was set, s.
_SOONEST_S = 1.0


class BoardClock:
    """Says when it was what a board's clock says, though messages are late, and its crystal is off.

    A message never comes before its time, only after. So the line that lies under all delays and as close to
    them as a line can is the board's clock; its slope is how much faster or slower that one goes.

    Attributes:
        drift: by how much this machine's clock goes faster than the board's, as a share.

    Source: Moon, Skelly, Towsley: Estimation and Removal of Clock Skew from Network Delay Measurements,
    INFOCOM 1999.
    """

    drift: float
    _stretch: float
    _newest_s: float

    def __init__(self) -> None:
        self._begin()

    def note(self, board_s: float, arrived_s: float) -> bool:
        """Take notice of a message; False when the board's clock was set, and everything begins anew.

        Args:
            board_s: when the board could send it at the earliest, by its clock.
            arrived_s: when it came, by the clock of this machine.
        """
        went_back = board_s < self._newest_s - _SOONEST_S
        too_soon = bool(self._soonest) and arrived_s < self.at(board_s) - _SOONEST_S
        if went_back or too_soon:
            self._begin()
        self._newest_s = max(self._newest_s, board_s)
        point, stretch = (board_s, arrived_s - board_s), board_s // _STRETCH_S
        if stretch > self._stretch:
            self._stretch = stretch
            self._soonest.append(point)
            self._fit()
        elif self._above(point) < self._above(self._soonest[-1]):
            self._soonest[-1] = point
            self._fit()
        return not (went_back or too_soon)

    def _begin(self) -> None:
        self.drift = 0.0
        #: Board time and delay, s: the line goes through this point.
        self._anchor = (0.0, 0.0)
        self._soonest: deque[tuple[float, float]] = deque(maxlen=_STRETCHES)
        self._stretch = self._newest_s = -math.inf

    def at(self, board_s: float) -> float:
        """What this machine's clock showed then, s."""
        return board_s + self._anchor[1] + self.drift * (board_s - self._anchor[0])

    def _above(self, point: tuple[float, float]) -> float:
        """How far a point lies above the line, s."""
        return point[1] + point[0] - self.at(point[0])

    def _fit(self) -> None:
        """The edge of the points' lower hull that lies under their middle."""
        hull: list[tuple[float, float]] = []
        for point in self._soonest:
            while len(hull) > 1 and _turn(hull[-2], hull[-1], point) <= 0:
                hull.pop()
            hull.append(point)
        middle_s = sum(at_s for at_s, _ in self._soonest) / len(self._soonest)
        right = next((n for n, (at_s, _) in enumerate(hull) if at_s >= middle_s), 0)
        self._anchor, self.drift = hull[right], 0.0
        if right:
            (before_s, low), (after_s, high) = hull[right - 1 : right + 1]
            self.drift = (high - low) / (after_s - before_s)


def _turn(first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]) -> float:
    """Positive where the way over three points bends upwards."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])
