"""In which order an epoch takes its windows: decided by seed and epoch alone, so that any can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Order:
    """A shuffle.

    Where windows are too many to be held, runs of neighbours are shuffled first and then the windows within
    each pool of several runs: a pool is read from the disk in long pieces, and holds a bit of everything.

    Attributes:
        n: windows.
        seed: another seed, another order.
        pool: windows that are shuffled among each other.
        run: neighbours that go into the same pool.
    """

    n: int
    seed: int
    pool: int
    run: int = 1

    def epoch(self, number: int) -> NDArray[np.int64]:
        """int64 [n]: each window once.

        >>> Order(5, seed=1, pool=5).epoch(0).tolist() == Order(5, seed=1, pool=9, run=2).epoch(0).tolist()
        True
        """
        random = np.random.default_rng([self.seed, number])
        if self.n <= self.pool:
            return random.permutation(self.n)
        firsts = random.permutation(-(-self.n // self.run)) * self.run
        order = (firsts[:, None] + np.arange(self.run)).ravel()
        order = order[order < self.n]
        for start in range(0, self.n, self.pool):
            random.shuffle(order[start : start + self.pool])
        return order

    def pools(self, number: int, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """An epoch, pool by pool, from its window `start` on."""
        order = self.epoch(number)
        while start < self.n:
            end = min(self.n, (start // self.pool + 1) * self.pool)
            yield order[start:end]
            start = end
