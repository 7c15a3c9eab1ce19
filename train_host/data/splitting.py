"""Divides the groups of a dataset so that every side has its share of every label, as far as groups allow.

Groups are put where the shares miss what was asked for least, the largest first; then single groups move, and
pairs change places, for as long as that makes it better. The seed decides between equals.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Recording, truth
from edge_sdk.errors import ConfigError, DatasetError, first_of
from edge_sdk.splits import SIDES, order

#: A label that is wholly missing on a side is as bad as so much of a miss elsewhere.
_MISSING = 2.0
#: With more groups than this, pairs do not change places: there is enough to choose from.
_PAIRS = 120


@dataclass(frozen=True)
class Amounts:
    """How much each group has of each label.

    Attributes:
        groups: names.
        labels: names; of a regression, quarters of the values.
        table: float64 [groups, labels], s of signal or number of images.
        whole: float64 [groups], the same of all labels; where several hold at once, less than their sum.
        unit: ``s``, ``samples`` or ``images``.
    """

    groups: tuple[str, ...]
    labels: tuple[str, ...]
    table: NDArray[np.float64]
    whole: NDArray[np.float64]
    unit: str


@dataclass(frozen=True)
class Division:
    """Groups on sides, or in folds.

    Attributes:
        amounts: what there was to divide.
        sides: names of the sides, or of the folds.
        side_of: of each group.
    """

    amounts: Amounts
    sides: tuple[str, ...]
    side_of: Mapping[str, str]

    @property
    def table(self) -> NDArray[np.float64]:
        """float64 [sides, labels], as `Amounts.table`."""
        return self._summed(self.amounts.table)

    @property
    def whole(self) -> NDArray[np.float64]:
        """float64 [sides], as `Amounts.whole`."""
        return self._summed(self.amounts.whole)

    def groups_of(self, side: str) -> list[str]:
        """The groups on a side, sorted."""
        return sorted(group for group, on in self.side_of.items() if on == side)

    def _summed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        on = np.array([[self.side_of[group] == side for group in self.amounts.groups] for side in self.sides])
        return np.asarray(on.astype(np.float64) @ values)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        table = self.table
        return {
            "unit": self.amounts.unit,
            "sides": {
                side: {
                    "groups": self.groups_of(side),
                    "amount": dict(zip(self.amounts.labels, table[i].round(3).tolist(), strict=True)),
                }
                for i, side in enumerate(self.sides)
            },
        }


def measure(dataset: Dataset, on_file: Callable[[str], None] = lambda file: None) -> Amounts:
    """How much of each label each group has.

    Args:
        dataset: whose recordings are read for their length.
        on_file: called after each recording.

    Raises:
        DatasetError: a malformed recording.
    """
    usable = [recording for recording in dataset.recordings if truth.is_known(dataset, recording)]
    kinds = truth.kinds(dataset, usable)
    groups = dataset.groups
    labels = dataset.labels or tuple(sorted({kind for found in kinds for kind in found}))
    table, whole = np.zeros((len(groups), len(labels))), np.zeros(len(groups))
    rows, columns = ({name: i for i, name in enumerate(names)} for names in (groups, labels))
    images = dataset.layout == "HWC"
    for recording, found in zip(usable, kinds, strict=True):
        amount = 1.0 if images else _length(dataset, recording)
        whole[rows[recording.group]] += amount
        for kind in found & columns.keys():
            table[rows[recording.group], columns[kind]] += amount
        on_file(recording.file)
    unit = "images" if images else "s" if dataset.rate_hz else "samples"
    return Amounts(groups, tuple(named(dataset, label) for label in labels), table, whole, unit)


def named(dataset: Dataset, kind: str) -> str:
    """A kind of `truth.kinds` for people: a label, or which quarter of the values of a target."""
    if dataset.task != "regression":
        return kind
    target, quarter = kind.split(":")
    return f"{dataset.target_names[int(target)]}, quarter {int(quarter) + 1}"


def divide(amounts: Amounts, shares: Mapping[str, float], seed: int, by: str = "group") -> Division:
    """Put each group on one side.

    Args:
        amounts: of all groups.
        shares: of each side, summing to one; a side with a share gets one group at least.
        seed: decides between equals.
        by: what a group is, for errors.

    Raises:
        DatasetError: there are fewer groups than sides.
    """
    sides = tuple(side for side, share in shares.items() if share > 0)
    if len(amounts.groups) < len(sides):
        what = f"{len(sides)} folds" if sides[0].isdecimal() else ", ".join(sides)
        raise DatasetError(
            f"too few {by}s for {what}",
            expected=f"at least {len(sides)}",
            found=f"{len(amounts.groups)} ({first_of(amounts.groups)})",
            remedy=f"record more, each {by} with a name of its own: <group>_<id>.csv",
        )
    place = {group: i for i, group in enumerate(amounts.groups)}
    chosen = [place[group] for group in order(amounts.groups, seed)]
    divided = _Sides(_shares(amounts), np.array([shares[side] for side in sides]))
    divided.fill(chosen)
    while divided.improve(chosen):
        pass
    return Division(amounts, sides, {group: sides[divided.on[i]] for i, group in enumerate(amounts.groups)})


def folded(amounts: Amounts, k: int, seed: int, by: str = "group") -> Division:
    """Put each group into one of k folds of one size, each with its share of every label.

    Raises:
        ConfigError: fewer than two folds.
        DatasetError: there are fewer groups than folds.
    """
    if k < 2:
        raise ConfigError("folds", expected="at least 2", found=k)
    return divide(amounts, {str(fold): 1 / k for fold in range(1, k + 1)}, seed, by)


def one_group_each(amounts: Amounts) -> Division:
    """A fold for every group.

    Raises:
        DatasetError: there is one group only.
    """
    if len(amounts.groups) < 2:
        raise DatasetError("too few groups", expected="at least 2", found=first_of(amounts.groups) or "none")
    folds = {group: str(i) for i, group in enumerate(amounts.groups, start=1)}
    return Division(amounts, tuple(folds.values()), folds)


def recordings(dataset: Dataset, division: Division) -> list[Recording]:
    """All recordings of a dataset with their side, or their fold; those without a label get none."""
    folds = not set(division.sides) <= set(SIDES)
    written = []
    for recording in dataset.recordings:
        side = division.side_of.get(recording.group) if truth.is_known(dataset, recording) else None
        if folds:
            written.append(replace(recording, fold=None if side is None else int(side)))
        else:
            written.append(replace(recording, split=side))
    return written


def _length(dataset: Dataset, recording: Recording) -> float:
    signal = dataset.read(recording)
    return signal.duration_s or float(len(signal.samples))


def _shares(amounts: Amounts) -> NDArray[np.float64]:
    """Each group's share of every label, and of the whole: float64 [groups, labels + 1]."""
    table = np.concatenate([amounts.table, amounts.whole[:, None]], axis=1)
    return np.asarray(table / np.maximum(table.sum(axis=0), 1e-12))


class _Sides:
    """Groups on sides, and how far each side is from its share.

    Args:
        shares: float64 [groups, labels + 1], as `_shares` gives them.
        wanted: share of each side.
    """

    def __init__(self, shares: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
        self.shares, self.wanted = shares, wanted
        self.on = np.full(len(shares), -1)
        self.have = np.zeros((len(wanted), shares.shape[1]))

    def fill(self, chosen: Sequence[int]) -> None:
        """Put each group where most is missing of what it has to give, the largest ones first."""
        largest = sorted(chosen, key=lambda group: -float(self.shares[group].max()))
        for left, group in zip(range(len(largest), 0, -1), largest, strict=True):
            missing = ((self.wanted[:, None] - self.have) * self.shares[group]).sum(axis=1) / self.wanted
            empty = [side for side in range(len(self.wanted)) if not (self.on == side).any()]
            if left <= len(empty):
                missing[np.setdiff1d(range(len(self.wanted)), empty)] = -np.inf
            self.on[group] = side = int(missing.argmax())
            self.have[side] += self.shares[group]

    def improve(self, chosen: Sequence[int]) -> bool:
        """Move each group, and let each pair change places, where that helps; whether anything did."""
        better = False
        for group in chosen:
            for side in range(len(self.wanted)):
                if side != self.on[group] and (self.on == self.on[group]).sum() > 1:
                    better |= self._attempt([(group, side)])
        for one, other in itertools.combinations(chosen, 2) if len(chosen) <= _PAIRS else ():
            if self.on[one] != self.on[other]:
                better |= self._attempt([(one, int(self.on[other])), (other, int(self.on[one]))])
        return better

    def _attempt(self, moves: Sequence[tuple[int, int]]) -> bool:
        """Put groups on other sides, if that is better."""
        changed = self.have.copy()
        for group, side in moves:
            changed[self.on[group]] -= self.shares[group]
            changed[side] += self.shares[group]
        if self._miss(changed) >= self._miss(self.have) - 1e-9:
            return False
        for group, side in moves:
            self.on[group] = side
        self.have = changed
        return True

    def _miss(self, have: NDArray[np.float64]) -> float:
        """How far all sides are from their shares of each label and of the whole."""
        wanted = self.wanted[:, None]
        apart = ((have - wanted) / wanted) ** 2 * wanted
        return float(apart.sum() + _MISSING * (wanted * (have[:, :-1] <= 1e-9)).sum())
