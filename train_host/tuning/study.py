"""The search itself: Optuna asks, a crew answers, and everything is on the disk before the next question."""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk.closing import Closing
from edge_sdk.errors import EdgeError, GateError, MissingExtraError, first_of
from edge_sdk.splits import SIDES
from train_host import architectures
from train_host.config import Config
from train_host.record import to_json
from train_host.tuning.crew import Crew
from train_host.tuning.folder import CONFIG, Folder
from train_host.tuning.front import Tried, front, tried
from train_host.tuning.measuring import Meter
from train_host.tuning.search import Search
from train_host.tuning.space import RECIPE, applied
from train_host.tuning.trial import Order, Result

#: Optuna counts questions, of which some are old ones; ours count trials.
_NUMBER, _VALUES, _RESULT = "number", "values", "result"
#: A trial whose machine failed is tried again so often in all.
_ATTEMPTS = 3
#: So many questions in a row may be old ones; then there is nothing new to try.
_OLD = 20
#: Where so many trials have failed and none has not, the others would as well.
_HOPELESS = 5


class Study(Closing):
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
        self.search, self._inner = search, search.inner()
        self._optuna, self._states = optuna, optuna.trial.TrialState
        self.folder = Folder(folder, search.asked(), again=again)
        backend = optuna.storages.journal.JournalFileBackend(str(self.folder.journal))
        self._study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name="edgeml",
            directions=search.goals.directions,
            load_if_exists=True,
        )
        self._default = architectures.choose(search.base.arch, search.dataset, search.base.model)
        self._known: dict[str, int] = {}
        self._resume()

    @property
    def tried(self) -> list[Tried]:
        """The trials that have ended, in their order."""
        found = []
        for trial in self._study.get_trials(states=(self._states.COMPLETE, self._states.FAIL)):
            if _RESULT in trial.user_attrs:
                result = msgspec.convert(trial.user_attrs[_RESULT], Result)
                found.append(tried(_number(trial), trial.user_attrs[_VALUES], result, self.search.goals))
        return found

    def front(self) -> list[Tried]:
        """Those that no other one beats in all objectives, within the limits; the best of the first ahead."""
        return front(self.tried, self.search.goals)

    def run(
        self,
        crew: Crew,
        meter: Meter | None,
        on_result: Callable[[Tried, int], None],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Try until there are as many trials as were asked for, or nothing new to try.

        Args:
            crew: carries them out.
            meter: measures them on a target; None where nothing asks for that.
            on_result: told of each that has ended, and how many have.
            check: called before it waits; what it raises ends the search.

        Raises:
            EdgeError: a machine failed again and again.
            GateError: all trials fail.
        """
        running: dict[int, Any] = {}
        attempts: dict[int, int] = {}
        done = len(self.tried)
        wanted = self.search.trials
        while done < wanted:
            while len(running) < min(crew.size, wanted - done):
                trial = self._ask()
                if trial is None:
                    wanted = done + len(running)
                    break
                running[_number(trial)] = trial
                crew.submit(self._order(trial))
            if not running:
                break
            check()
            number, found = crew.next()
            if isinstance(found, EdgeError):
                attempts[number] = attempts.get(number, 1) + 1
                if attempts[number] > _ATTEMPTS or isinstance(found, MissingExtraError):
                    raise found
                crew.submit(self._order(running[number]))
                continue
            ended = self._end(running.pop(number), found if meter is None else meter.complete(found))
            done += 1
            on_result(ended, done)
            self._check_hope()

    def config(self, trial: Tried) -> Config:
        """What a trial was trained with, but for its split."""
        return applied(trial.values, self.search.base)

    def recipe(self, trial: Tried) -> str:
        """What it was converted by."""
        return str(trial.values.get(RECIPE, self.search.recipe))

    def close(self) -> None:
        """Let others search in the folder."""
        self.folder.close()

    def _ask(self) -> Any:
        """A trial that is none of the others; None where there is no further one."""
        for again in range(_OLD):
            # A sampler a question, so that a search that goes on asks what it would have asked.
            seed = zlib.crc32(f"{self.search.base.seed}:{len(self._known)}:{again}".encode())
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            trial = self._study.ask()
            values = self.search.space.suggest(trial, self._default)
            name = json.dumps(values, sort_keys=True)
            if name not in self._known:
                used = set(self._known.values())
                self._known[name] = next(n for n in itertools.count() if n not in used)
                trial.set_user_attr(_NUMBER, self._known[name])
                trial.set_user_attr(_VALUES, values)
                return trial
            self._study.tell(trial, state=self._states.FAIL)
        return None

    def _order(self, trial: Any) -> Order:
        search = self.search
        values = trial.user_attrs[_VALUES]
        sides = {side: getattr(self._inner, side) for side in SIDES}
        config = msgspec.structs.replace(applied(values, search.base), split=sides, patience=0)
        return Order(
            number=_number(trial),
            dataset=str(search.dataset.folder.absolute()),
            config=config.as_dict(),
            recipe=str(values.get(RECIPE, search.recipe)),
            board=search.board,
        )

    def _end(self, trial: Any, result: Result) -> Tried:
        """Write down what came of a trial; its files are kept while it is on the front."""
        search, goals = self.search, self.search.goals
        if result.failure is None and (unknown := goals.unknown(result.figures)):
            result = msgspec.structs.replace(result, failure=f"its {unknown} is not known")
        files, result = result.files, msgspec.structs.replace(result, files={})
        ended = tried(_number(trial), trial.user_attrs[_VALUES], result, goals)
        if result.failure is None:
            for name, excess in goals.excess(result.figures).items():
                trial.set_constraint(name, excess)
            if search.board is not None:
                trial.set_constraint("board", 1.0 if result.reasons else 0.0)
            config = to_json({"config": self.config(ended).as_dict()})
            content = {name: base64.b64decode(text) for name, text in files.items()}
            self.folder.keep(ended.number, {**content, CONFIG: config})
        trial.set_user_attr(_RESULT, msgspec.to_builtins(result))
        self._tell(trial.number, result)
        self.folder.tidy([each.number for each in self.front()])
        return ended

    def _tell(self, question: int, result: Result) -> None:
        if result.failure is not None:
            self._study.tell(question, state=self._states.FAIL)
        else:
            self._study.tell(question, self.search.goals.values(result.figures))

    def _check_hope(self) -> None:
        ended = self.tried
        if len(ended) >= _HOPELESS and all(each.result.failure for each in ended):
            every = dict.fromkeys(str(each.result.failure) for each in ended)
            raise GateError(
                f"{self.folder.path}: the first {len(ended)} trials have failed",
                expected="one that can be trained and converted",
                found=first_of(every, 2),
                remedy="search others, see [search] in docs/tuning.md; --force begins anew",
            )

    def _resume(self) -> None:
        """What was running when an earlier search was stopped is tried again, with the same values."""
        for trial in self._study.get_trials():
            has_ended = _RESULT in trial.user_attrs
            if has_ended:
                self._known[json.dumps(trial.user_attrs[_VALUES], sort_keys=True)] = _number(trial)
            if trial.state != self._states.RUNNING:
                continue
            if has_ended:  # and only Optuna had not been told
                self._tell(trial.number, msgspec.convert(trial.user_attrs[_RESULT], Result))
            else:
                self._study.tell(trial.number, state=self._states.FAIL)
                self._study.enqueue_trial(trial.params)


def _number(trial: Any) -> int:
    return int(trial.user_attrs[_NUMBER])
