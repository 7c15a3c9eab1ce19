"""The search itself: Optuna asks, a crew answers, and everything is on the disk before the next question."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk.dataset import Dataset, Split
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, MissingExtraError
from edge_sdk.modelfile import write_atomic
from train_host import architectures
from train_host.config import Config
from train_host.tuning.crew import Crew
from train_host.tuning.goals import Goals
from train_host.tuning.space import RECIPE, Space, applied
from train_host.tuning.trial import Order, Result

JOURNAL, ASKED, TRIALS = "journal.log", "study.json", "trials"
_VALUES, _RESULT = "values", "result"
#: A trial whose machine failed is tried again so often in all.
_ATTEMPTS = 3


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
    recipe: str
    target: str | None
    board: str | None
    trials: int

    def inner(self) -> Split:
        """The groups of a trial: it is judged on the validation groups, and nobody sees the test groups.

        Raises:
            DatasetError: too few groups.
            ConfigError: none of them is for validation.
        """
        outer = self.base.divide(self.dataset)
        if not outer.validation:
            raise ConfigError("validation", expected="groups to judge trials by", found="none")
        return Split(outer.train, (), outer.validation, outer.by)

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


@dataclass(frozen=True)
class Tried:
    """One trial that has ended.

    Attributes:
        number: counts from 0.
        values: what was tried.
        result: what came of it.
        feasible: within all limits, and the board runs it.
    """

    number: int
    values: Mapping[str, Any]
    result: Result
    feasible: bool

    @property
    def figures(self) -> Mapping[str, Any]:
        """Of the result."""
        return self.result.figures


class Study:
    """A search in a folder, where it goes on when it was interrupted.

    Args:
        folder: made where there is none.
        search: what to look for.
        again: throw away an earlier search.

    Raises:
        MissingExtraError: Optuna is not installed.
        ConfigError: the folder holds another search.
        DeviceError: it cannot be written.
    """

    def __init__(self, folder: Path, search: Search, *, again: bool = False) -> None:
        try:
            import optuna
        except ModuleNotFoundError as error:
            raise MissingExtraError("edgeml tune", "tune", error.name) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder, self.search = folder, search
        self._optuna, self._inner = optuna, search.inner()
        self._prepare(again)
        backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        self._study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name="edgeml",
            directions=search.goals.directions,
            sampler=optuna.samplers.TPESampler(seed=search.base.seed, constant_liar=True),
            load_if_exists=True,
        )
        self._attempts: dict[int, int] = {}
        self._resume()

    @property
    def tried(self) -> list[Tried]:
        """The trials that have ended, in their order."""
        state = self._optuna.trial.TrialState
        found = []
        for trial in self._study.get_trials(states=(state.COMPLETE, state.FAIL)):
            if _RESULT in trial.user_attrs:
                result = msgspec.convert(trial.user_attrs[_RESULT], Result)
                found.append(
                    Tried(trial.number, trial.user_attrs[_VALUES], result, self._is_feasible(result))
                )
        return found

    def front(self) -> list[Tried]:
        """Those that no other one beats in all objectives, within the limits; the best of the first ahead."""
        goals = self.search.goals
        signs = [-1.0 if word == "maximize" else 1.0 for word in goals.directions]
        points = [
            (each, [sign * value for sign, value in zip(signs, goals.values(each.figures), strict=True)])
            for each in self.tried
            if each.feasible
        ]
        best = [
            (each, point)
            for each, point in points
            if not any(_dominates(other, point) for _, other in points)
        ]
        return [each for each, _ in sorted(best, key=lambda pair: (pair[1], pair[0].number))]

    def run(self, crew: Crew, on_result: Callable[[Tried, int], None]) -> None:
        """Try until there are as many trials as were asked for.

        Args:
            crew: carries them out.
            on_result: told of each that has ended, and how many have.

        Raises:
            EdgeError: a machine failed again and again.
        """
        running: dict[int, Any] = {}
        done = len(self.tried)
        while done < self.search.trials:
            while len(running) < min(crew.size, self.search.trials - done):
                trial = self._study.ask()
                running[trial.number] = trial
                self._begin(crew, trial)
            number, found = crew.next()
            if isinstance(found, EdgeError):
                self._attempts[number] = self._attempts.get(number, 1) + 1
                if self._attempts[number] > _ATTEMPTS:
                    raise found
                self._begin(crew, running[number])
                continue
            tried = self._end(running.pop(number), found)
            done += 1
            on_result(tried, done)

    def model(self, tried: Tried, name: str) -> Path:
        """A file of a trial on the front."""
        return self.folder / TRIALS / str(tried.number) / name

    def config(self, tried: Tried) -> Config:
        """What a trial was trained with, but for its split."""
        return applied(tried.values, self.search.base)

    def recipe(self, tried: Tried) -> str:
        """What it was converted by."""
        return str(tried.values.get(RECIPE, self.search.recipe))

    def _begin(self, crew: Crew, trial: Any) -> None:
        search = self.search
        default = architectures.choose(search.base.arch, search.dataset, search.base.model)
        values = search.space.suggest(trial, default)
        trial.set_user_attr(_VALUES, values)
        config = msgspec.structs.replace(applied(values, search.base), split=_sides(self._inner), patience=0)
        order = Order(
            number=trial.number,
            dataset=str(search.dataset.folder),
            config=config.as_dict(),
            recipe=str(values.get(RECIPE, search.recipe)),
            target=search.target,
            board=search.board,
        )
        crew.submit(order)

    def _end(self, trial: Any, result: Result) -> Tried:
        """Write down what came of a trial; its files are kept while it is on the front."""
        search, goals, state = self.search, self.search.goals, self._optuna.trial.TrialState
        files, result = result.files, msgspec.structs.replace(result, files={})
        trial.set_user_attr(_RESULT, msgspec.to_builtins(result))
        values = trial.user_attrs[_VALUES]
        tried = Tried(trial.number, values, result, self._is_feasible(result))
        if result.failure is not None:
            self._study.tell(trial, state=state.FAIL)
            return tried
        for name, excess in goals.excess(result.figures).items():
            trial.set_constraint(name, excess)
        if search.board is not None:
            trial.set_constraint("board", 1.0 if result.reasons else 0.0)
        try:
            for name, content in files.items():
                path = self.model(tried, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, base64.b64decode(content))
        except OSError as error:
            raise DeviceError(f"{self.folder}: cannot be written", found=error.strerror or error) from error
        self._study.tell(trial, goals.values(result.figures))
        self._tidy()
        return tried

    def _tidy(self) -> None:
        """Files of trials that are beaten are not kept."""
        kept = {str(tried.number) for tried in self.front()}
        for folder in (self.folder / TRIALS).glob("*"):
            if folder.name not in kept:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()

    def _is_feasible(self, result: Result) -> bool:
        within = all(excess <= 0 for excess in self.search.goals.excess(result.figures).values())
        return result.failure is None and within and not result.reasons

    def _prepare(self, again: bool) -> None:
        folder, asked = self.folder, self.search.asked()
        known = folder / ASKED
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if again:
                for name in (JOURNAL, ASKED):
                    (folder / name).unlink(missing_ok=True)
            if known.exists():
                _check_same(folder, json.loads(known.read_text(encoding="utf-8")), asked)
            elif any(folder.iterdir()) and not again:
                raise ConfigError(
                    f"{folder}: exists", expected="no folder, or that of a search", found="something else"
                )
        except (OSError, ValueError) as error:
            if isinstance(error, EdgeError):
                raise
            raise DeviceError(f"{folder}: cannot be used", found=error) from error
        write_atomic(known, json.dumps(asked, indent=1, ensure_ascii=False).encode() + b"\n")

    def _resume(self) -> None:
        """What was running when an earlier search was stopped is tried again, with the same values."""
        state = self._optuna.trial.TrialState
        for trial in self._study.get_trials(states=(state.RUNNING,)):
            with contextlib.suppress(ValueError):  # another process has ended it meanwhile
                self._study.tell(trial.number, state=state.FAIL)
                self._study.enqueue_trial(trial.params)


def _sides(split: Split) -> dict[Any, tuple[str, ...]]:
    return {"train": split.train, "validation": split.validation, "test": split.test}


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


def _check_same(folder: Path, known: dict[str, Any], asked: dict[str, Any]) -> None:
    asked = json.loads(json.dumps(asked))
    for key, value in asked.items():
        if known.get(key) != value:
            raise ConfigError(
                f"{folder}: another search, its {key} differs",
                expected=known.get(key),
                found=value,
                remedy="give another folder, or --force to begin anew",
            )
