"""Puts names beside points so that none lies on another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from converters.page import charts
from converters.page.markup import Html, join, tag

#: Directions in which a name may lie, the preferred one first, in eighths of a turn.
_DIRECTIONS = (0, 4, 2, 6, 1, 7, 3, 5)
#: Distances from the point, pixels; from the second on, a thin line leads to it.
_DISTANCES = (12.0, 24.0, 40.0, 60.0, 85.0)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether the other one lies inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass
class Labels:
    """The names of one plot.

    Attributes:
        room: that they must stay in.
        taken: where nothing may lie: points, and names that were put.
    """

    room: Box
    taken: list[Box] = field(default_factory=list)

    def put(self, name: str, x: float, y: float, *, strong: bool = False) -> Html:
        """The name beside its point; nothing where there is no room for it."""
        width = width_of(name, strong=strong)
        for distance in _DISTANCES:
            for eighth in _DIRECTIONS:
                box = _beside(x, y, width, distance, eighth)
                if self.room.holds(box) and not any(box.overlaps(other) for other in self.taken):
                    self.taken.append(box)
                    return _drawn(name, box, (x, y), far=distance > _DISTANCES[0], strong=strong)
        return Html()

    def put_on(self, name: str, ends: tuple[float, float], y: float) -> Html:
        """The name of a level line, at its right end or its left, above it or below."""
        width = width_of(name)
        for right, below in ((True, False), (False, False), (True, True), (False, True)):
            left = ends[0] - width if right else ends[1] + 2
            top = y + 3 if below else y - charts.LINE - 2
            box = Box(left, top, left + width, top + charts.LINE)
            if not any(box.overlaps(other) for other in self.taken):
                self.taken.append(box)
                at, anchor = (box.right, "end") if right else (box.left, "start")
                return charts.write(at, box.bottom - 3, name, "on tick", anchor)
        return Html()


def width_of(name: str, *, strong: bool = False) -> float:
    """An upper bound of a text's width, pixels."""
    return len(name) * charts.CHARACTER * (1.1 if strong else 1.0)


def _beside(x: float, y: float, width: float, distance: float, eighth: int) -> Box:
    turn = eighth * math.pi / 4
    across, up = math.cos(turn), math.sin(turn)
    middle_x = x + across * distance + (math.copysign(width / 2, across) if abs(across) > 0.1 else 0.0)
    middle_y = y - up * (distance + (charts.LINE / 2 if abs(up) > 0.1 else 0.0))
    half = charts.LINE / 2
    return Box(middle_x - width / 2, middle_y - half, middle_x + width / 2, middle_y + half)


def _drawn(name: str, box: Box, point: tuple[float, float], *, far: bool, strong: bool) -> Html:
    x, y = point
    # The text stays at the side of its point: its true width is less than that of its box.
    anchor, at = ("middle", (box.left + box.right) / 2)
    if box.left > x:
        anchor, at = ("start", box.left)
    elif box.right < x:
        anchor, at = ("end", box.right)
    words = charts.write(at, box.bottom - 3.5, name, "on strong" if strong else "on", anchor)
    if not far:
        return words
    near_y = min(max(y, box.top + 2), box.bottom - 2)
    near_x = min(max(x, box.left), box.right)
    return join([tag("line", x1=x, y1=y, x2=near_x, y2=near_y, class_="leader"), words])
