"""Which part of each batch a replica takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """The replicas of one worker among all.

    Attributes:
        first: the number of its first replica.
        count: how many it has.
        of: how many there are.
    """

    first: int
    count: int
    of: int
