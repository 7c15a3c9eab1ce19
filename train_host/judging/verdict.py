"""Whether a challenger is better than a champion: a paired test, and what each group gains or loses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.dataset import Windowed
from train_host.judging.challenge import Champion


@dataclass(frozen=True)
class GroupChange:
    """What one group thinks of both models.

    Attributes:
        champion: accuracy of the old model.
        challenger: of the new one.
        n: windows.
    """

    champion: float
    challenger: float
    n: int

    @property
    def change(self) -> float:
        """What the group gains."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger takes the champion's place.

    Attributes:
        champion: the old model.
        before: its evaluation.
        after: that of the new one, on the same windows.
        interval: 95 % of `gain`, paired, over groups.
        p_value: of McNemar's exact test, as if windows were independent.
        groups: what each group gains.
        max_group_drop: that a group may lose.
        left_out: test groups that the champion has seen, and that judged nothing.
    """

    champion: Champion
    before: compare.Evaluation
    after: compare.Evaluation
    interval: tuple[float, float]
    p_value: float
    groups: dict[str, GroupChange]
    max_group_drop: float
    left_out: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """Accuracy that the challenger is ahead by."""
        return self.after.accuracy - self.before.accuracy

    @property
    def fallen(self) -> list[str]:
        """Groups that lose more than they may, the worst first."""
        names = [name for name, group in self.groups.items() if -group.change > self.max_group_drop + 1e-9]
        return sorted(names, key=lambda name: (self.groups[name].change, name))

    @property
    def reasons(self) -> list[str]:
        """Why the champion stays; none where the challenger is better."""
        found = []
        low, high = (100 * bound for bound in self.interval)
        if self.interval[0] <= 0:
            what = "it is worse" if self.interval[1] < 0 else "it is not shown to be better"
            found.append(f"{what}: {100 * self.gain:+.1f} points, 95 %: {low:+.1f} to {high:+.1f}")
        for name in self.fallen:
            group = self.groups[name]
            found.append(
                f"{name} falls by {-100 * group.change:.1f} points, from {group.champion:.3f} to "
                f"{group.challenger:.3f} ({group.n} windows); {100 * self.max_group_drop:g} may be lost"
            )
        return found

    @property
    def better(self) -> bool:
        """Whether it is shown to be better, and nobody pays for it."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """For run.json and ``--json``."""
        return {
            "better": self.better,
            "reasons": self.reasons,
            "champion": str(self.champion.path),
            "digest": self.champion.digest,
            "accuracy_champion": self.before.accuracy,
            "interval_champion": list(self.before.interval),
            "accuracy_challenger": self.after.accuracy,
            "interval_challenger": list(self.after.interval),
            "n": self.after.n,
            "gain": self.gain,
            "gain_interval": list(self.interval),
            "p_value": self.p_value,
            "max_group_drop": self.max_group_drop,
            "per_group": {
                name: {
                    "champion": group.champion,
                    "challenger": group.challenger,
                    "change": group.change,
                    "n": group.n,
                }
                for name, group in self.groups.items()
            },
            "left_out": list(self.left_out),
        }


def judge(
    champion: Champion,
    before: NDArray[Any],
    after: NDArray[Any],
    windows: Windowed,
    max_group_drop: float,
    left_out: Sequence[str] = (),
) -> Verdict:
    """Compare two models on the same windows.

    Args:
        champion: the old model.
        before: float [n, labels], its scores.
        after: likewise of the new one.
        windows: that both have not seen.
        max_group_drop: accuracy that a group may lose.
        left_out: groups whose windows are not among these.
    """
    first, second = (compare.evaluate(scores, windows.y, windows.group) for scores in (before, after))
    right = [compare.decide(scores) == windows.y for scores in (before, after)]
    low, high = compare.paired_interval(right[0], right[1], windows.group)
    names = np.asarray(windows.group, dtype=str)
    return Verdict(
        champion=champion,
        before=first,
        after=second,
        interval=(-high, -low),
        p_value=mcnemar(int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())),
        groups={
            name: GroupChange(share, second.per_group[name], int((names == name).sum()))
            for name, share in first.per_group.items()
        },
        max_group_drop=max_group_drop,
        left_out=tuple(left_out),
    )


def mcnemar(lost: int, won: int) -> float:
    """Two-sided p-value of McNemar's exact test: whether as many were lost as were won.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions, 1947.

    >>> mcnemar(0, 5)
    0.0625
    >>> mcnemar(4, 4)
    1.0
    """
    n, least = lost + won, min(lost, won)
    if not n:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        for k in range(least + 1)
    ]
    return min(1.0, round(2 * math.fsum(map(math.exp, logs)), 12))
