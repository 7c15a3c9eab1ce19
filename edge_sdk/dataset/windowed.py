"""Windows with what is true of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Windowed:
    """Windows ready to train or to evaluate on.

    Attributes:
        x: float32 [n, window, channels], in the channels' units; images float32 [n, height, width, channels].
        y: what is true of each, as `truth` says: int64 [n], indices into the dataset's labels; float32
            [n, labels] where several may hold; float32 [n, targets] of a regression.
        group: whom each window comes from, n names.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    group: list[str]

    def __len__(self) -> int:
        return len(self.y)

    def of(self, groups: Iterable[str]) -> Windowed:
        """Those that come from these groups."""
        wanted = set(groups)
        return self.at(np.flatnonzero([group in wanted for group in self.group]))

    def at(self, chosen: NDArray[np.int64]) -> Windowed:
        """Those at these places."""
        return Windowed(self.x[chosen], self.y[chosen], [self.group[i] for i in chosen])
