"""Splits by group: no person, machine or day ever stands on both sides.

Groups are put in order by a hash of seed and name, not by a random generator, so that a seed gives the same
split on every version of every library.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_sdk.errors import DatasetError, first_of

SIDES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Which groups train, which decide when to stop, and which are never looked at until the end.

    Attributes:
        by: what a group is: ``subject``, ``machine``.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    by: str = "group"

    def __post_init__(self) -> None:
        every = [*self.train, *self.validation, *self.test]
        if len(set(every)) != len(every):
            twice = next(group for group in every if every.count(group) > 1)
            raise DatasetError(
                f"{self.by} {twice!r} is on two sides of the split", remedy="give it one side only"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, as run.json holds them."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }


def split(
    labels_of: Mapping[str, Iterable[str]],
    seed: int,
    *,
    validation: float = 0.2,
    test: float = 0.2,
    by: str = "group",
) -> Split:
    """Divide groups into train, validation and test; each side gets every label where that is possible.

    Args:
        labels_of: the labels that each group has recordings of.
        seed: another seed, another split.
        validation: share of the groups, 0 for none; at least one group otherwise.
        test: as `validation`.
        by: what a group is.

    Raises:
        DatasetError: too few groups, or shares that leave nothing to train on.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DatasetError(
            "split", expected="shares of 0 to 1 that leave some for training", found=f"{validation}, {test}"
        )
    known = {group: set(labels) for group, labels in labels_of.items()}
    needed = 1 + (validation > 0) + (test > 0)
    _need(known, needed, by, "a split")
    left = order(known, seed)
    counts = [max(1, round(share * len(left))) if share else 0 for share in (test, validation)]
    while sum(counts) >= len(left):
        counts[counts.index(max(counts))] -= 1
    test_groups = _take(left, counts[0], known)
    validation_groups = _take(left, counts[1], known)
    return Split(tuple(sorted(left)), tuple(sorted(validation_groups)), tuple(sorted(test_groups)), by)


def folds(
    labels_of: Mapping[str, Iterable[str]], k: int, seed: int, *, validation: float = 0.2, by: str = "group"
) -> list[Split]:
    """Cut the groups into k folds, each of them the test side once.

    Raises:
        DatasetError: k is less than 2, or more than there are groups.
    """
    known = {group: set(labels) for group, labels in labels_of.items()}
    if k < 2:
        raise DatasetError("folds", expected="at least 2", found=k)
    _need(known, max(k, 2 + (validation > 0)), by, f"{k} folds")
    parts: list[tuple[list[str], Counter[str]]] = [([], Counter()) for _ in range(k)]
    for group in order(known, seed):
        # the smallest fold, and among those the one that has least of this group's labels
        parts.sort(key=lambda part: (len(part[0]), sum(part[1][label] for label in known[group])))
        parts[0][0].append(group)
        parts[0][1].update(known[group])
    ordered = sorted(sorted(part) for part, _ in parts)
    return from_parts(known, ordered, seed, validation=validation, by=by)


def from_parts(
    labels_of: Mapping[str, Iterable[str]],
    parts: Sequence[Sequence[str]],
    seed: int,
    *,
    validation: float = 0.2,
    by: str = "group",
) -> list[Split]:
    """A split for each part of the groups, in which that part is tested.

    Args:
        labels_of: the labels that each group has recordings of.
        parts: the groups, each in one of them.
        seed: chooses who of the rest decides when to stop.
        validation: share of the rest.
        by: what a group is.
    """
    known = {group: set(labels) for group, labels in labels_of.items()}
    result = []
    for part in parts:
        tested = set(part)
        left = [group for group in order(known, seed) if group not in tested]
        count = min(len(left) - 1, max(1, round(validation * len(left)))) if validation else 0
        chosen = _take(left, count, known)
        result.append(Split(tuple(sorted(left)), tuple(sorted(chosen)), tuple(sorted(part)), by))
    return result


def order(groups: Iterable[str], seed: int) -> list[str]:
    """The groups in an order that only seed and names decide."""
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())


def _take(left: list[str], count: int, labels_of: Mapping[str, set[str]]) -> list[str]:
    """Move `count` groups out of `left`: those with missing labels first, the last of a label last."""
    taken: list[str] = []
    have: set[str] = set()
    owners = Counter(label for group in left for label in labels_of[group])

    def worth(group: str) -> tuple[int, int]:
        own = labels_of[group]
        return -sum(owners[label] == 1 for label in own), len(own - have)

    for _ in range(count):
        best = _first_best(left, worth, (0, len(owners.keys() - have)))
        left.remove(best)
        taken.append(best)
        have.update(labels_of[best])
        owners.subtract(labels_of[best])
    return taken


def _first_best(groups: Sequence[str], worth: Callable[[str], tuple[int, int]], most: tuple[int, int]) -> str:
    """The first of the groups that are worth most: the order decides between equals.

    Args:
        groups: not looked at beyond the first one that is worth `most`: there may be thousands.
        worth: of a group.
        most: no group is worth more.
    """
    perfect = (group for group in groups if worth(group) == most)
    return next(perfect, None) or max(groups, key=worth)


def _need(groups: Sequence[str] | Mapping[str, Any], needed: int, by: str, what: str) -> None:
    if len(groups) < needed:
        raise DatasetError(
            f"too few groups for {what} by {by}",
            expected=f"at least {needed}",
            found=f"{len(groups)} ({first_of(groups)})" if groups else "none",
            remedy=f"record more, each {by} with a name of its own: <group>_<id>.csv",
        )
