"""What is searched for, among what, on which data: the question that a study answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_sdk.dataset import Dataset, Split
from edge_sdk.errors import ConfigError
from train_host import architectures
from train_host.config import Config
from train_host.tuning.goals import Goals
from train_host.tuning.space import ARCH, Choice, Space


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to search for.

    Attributes:
        dataset: the recordings.
        base: what is the same in every trial.
        space: what is not.
        goals: what is good.
        recipe: where none is searched for.
        target: where models are measured.
        board: what they must run on.
        trials: how many in all.
    """

    dataset: Dataset
    base: Config
    space: Space
    goals: Goals
    recipe: str = "int8"
    target: str | None = None
    board: str | None = None
    trials: int = 20

    def inner(self) -> Split:
        """The groups of a trial: it is judged on the validation groups, and nobody sees the test groups.

        Raises:
            DatasetError: too few groups.
            ConfigError: none of them is for validation, or they cannot tell a good detector from another.
        """
        outer = self.base.divide(self.dataset)
        if not outer.validation:
            raise ConfigError(
                "validation",
                expected=f"{self.dataset.group}s to judge trials by",
                found="none",
                remedy="validation = 0.2 in a --config",
            )
        if self.dataset.task != "anomaly":
            return Split(outer.train, (), outer.validation, outer.by)
        self._check_both(outer.validation)
        watched = self._watched(outer.train)
        left = tuple(group for group in outer.train if group not in watched)
        return Split(left, watched, outer.validation, outer.by)

    def check(self) -> None:
        """Find out before any trial what would end each of them.

        Raises:
            ConfigError: an architecture that the data are not for, or options of one that is not tried.
            UnknownNameError: there is no such architecture.
            DatasetError: too few groups.
        """
        searched = self.space.keys.get(ARCH)
        names = searched.values if isinstance(searched, Choice) else (self.base.arch,)
        chosen = [architectures.choose(name, self.dataset, self.base.model) for name in names]
        for name in self.space.options:
            if name not in chosen:
                raise ConfigError(
                    f"[search.{name}]",
                    expected="options of what is tried: " + ", ".join(chosen),
                    found=name,
                    remedy=f'add "{name}" to arch under [search]',
                )
        self.inner()

    def asked(self) -> dict[str, Any]:
        """What makes it the same search; the number of trials does not."""
        return {
            "dataset": self.dataset.digest,
            "config": self.base.as_dict(),
            "search": self.space.as_dict(),
            "objectives": list(self.goals.objectives),
            "limits": dict(self.goals.limits),
            "recipe": self.recipe,
            "target": self.target,
            "board": self.board,
        }

    def _watched(self, groups: tuple[str, ...]) -> tuple[str, ...]:
        """Whom a detector's threshold is chosen by: one that it learns nothing from, where some are left."""
        normal = [group for group in groups if self.dataset.labels[0] in self._labels(group)]
        return tuple(normal[-1:]) if len(normal) > 2 else ()

    def _labels(self, *groups: str) -> set[str]:
        return {each.label for each in self.dataset.recordings if each.group in groups and each.label}

    def _check_both(self, groups: tuple[str, ...]) -> None:
        """A detector is judged by normal windows and by others."""
        labels, normal = self._labels(*groups), self.dataset.labels[0]
        if normal in labels and len(labels) > 1:
            return
        raise ConfigError(
            f"validation: {', '.join(groups)}",
            expected="normal recordings and others, to judge trials by",
            found=", ".join(sorted(labels)) or "none",
            remedy="a larger validation, or a [split], in a --config",
        )
