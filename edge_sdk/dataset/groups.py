"""The groups of a dataset: on which side each stands, as the manifest says, or as seed and shares decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sdk import splits
from edge_sdk.dataset import truth
from edge_sdk.dataset.facts import Facts
from edge_sdk.dataset.manifest import Recording
from edge_sdk.errors import DatasetError, first_of
from edge_sdk.splits import Split


@dataclass(frozen=True)
class Groups:
    """Those of which something is known.

    Attributes:
        facts: what dataset.toml says.
        recordings: of the groups; something is known of each of them.
        manifest: where their sides would stand, as errors name it.
    """

    facts: Facts
    recordings: Sequence[Recording]
    manifest: Path

    def split(self, seed: int, *, validation: float, test: float) -> Split:
        """Divide them; see `Dataset.split`."""
        by = self.facts.group
        if not any(recording.split for recording in self.recordings):
            known, odd = self._to_learn_from()
            made = splits.split(known, seed, validation=validation, test=test, by=by)
            return replace(made, test=tuple(sorted([*made.test, *odd])))
        given = self._given_split()
        if not given.train or (test and not given.test):
            raise DatasetError(f"{self.manifest}: split", expected="train and test", found=_sizes(given))
        if given.validation or not validation:
            return given
        known = {group: labels for group, labels in self._labels().items() if group in given.train}
        rest = splits.split(known, seed, validation=validation, test=0.0, by=by)
        return Split(rest.train, rest.validation, given.test, by)

    def folds(self, k: int, seed: int, *, validation: float) -> list[Split]:
        """Divide them k times; see `Dataset.folds`."""
        by = self.facts.group
        if any(recording.fold for recording in self.recordings):
            parts = self._given_folds(k)
            return splits.from_parts(self._labels(), parts, seed, validation=validation, by=by)
        known, odd = self._to_learn_from()
        made = splits.folds(known, k, seed, validation=validation, by=by)
        return [
            replace(fold, test=tuple(sorted([*fold.test, *odd[number::k]])))
            for number, fold in enumerate(made)
        ]

    def _given_split(self) -> Split:
        """The sides of the manifest; whoever has none there trains."""
        sides: dict[str, set[str]] = {side: set() for side in splits.SIDES}
        for recording in self.recordings:
            sides[recording.split or "train"].add(recording.group)
        train, validation, test = (tuple(sorted(sides[side])) for side in splits.SIDES)
        return Split(train, validation, test, self.facts.group)

    def _given_folds(self, k: int) -> list[list[str]]:
        """The groups of each fold of the manifest."""
        parts: dict[int | None, set[str]] = {}
        for recording in self.recordings:
            parts.setdefault(recording.fold, set()).add(recording.group)
        where = f"{self.manifest}: fold"
        if None in parts:
            raise DatasetError(
                where, expected="one for every group", found=f"none for {first_of(parts[None])}"
            )
        if len(parts) != k:
            remedy = "take as many, or divide again with: edgeml data split"
            raise DatasetError(where, expected=f"{k} folds", found=len(parts), remedy=remedy)
        known = [group for part in parts.values() for group in part]
        if len(set(known)) != len(known):
            twice = next(group for group in known if known.count(group) > 1)
            raise DatasetError(
                f"{self.manifest}: {self.facts.group} {twice!r} is in two folds", remedy="give it one only"
            )
        return [sorted(parts[fold]) for fold in sorted(parts, key=lambda fold: fold or 0)]

    def _labels(self) -> dict[str, set[str]]:
        """What each group has recordings of."""
        known: dict[str, set[str]] = {}
        kinds = truth.kinds(self.facts, self.recordings)
        for recording, kind in zip(self.recordings, kinds, strict=True):
            known.setdefault(recording.group, set()).update(kind)
        return known

    def _to_learn_from(self) -> tuple[dict[str, set[str]], list[str]]:
        """The groups that may stand on any side, with what they have; and those that can only be tested on.

        An anomaly detector learns what is normal: a group without it has nothing to teach.
        """
        known, facts = self._labels(), self.facts
        odd = [
            group
            for group in sorted(known)
            if facts.task == "anomaly" and facts.labels[0] not in known[group]
        ]
        return {group: kinds for group, kinds in known.items() if group not in odd}, odd


def _sizes(given: Split) -> str:
    return f"{len(given.train)} train, {len(given.validation)} validation, {len(given.test)} test groups"
