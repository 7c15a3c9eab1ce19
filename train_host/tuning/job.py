"""A search from its question to the best model: the one function behind ``edgeml tune``.

goals, space, search   what is asked
study, folder          Optuna, and what is on the disk
crew, trial, parcel    who does the work, and what it is
measuring              what a model costs on a target
front, outcome, best   what is found: the front, table and picture, the best model
progress               what is said meanwhile
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sdk.errors import GateError
from edge_sdk.modelfile import write_atomic
from train_host.interruption import Remembered
from train_host.tuning import best, outcome
from train_host.tuning.crew import Cluster, Crew, Local
from train_host.tuning.folder import FOUND, TRIALS
from train_host.tuning.front import Tried, nearest
from train_host.tuning.goals import FIGURES
from train_host.tuning.measuring import Meter
from train_host.tuning.progress import Progress
from train_host.tuning.search import Search
from train_host.tuning.study import Study


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to do.

    Attributes:
        search: what to look for.
        output: a folder; a search that is there goes on.
        flash: a command that puts each model onto the board of the search's target.
        workers: trials at a time on this machine.
        cluster: address of a Ray cluster that does the trials instead; None for none.
        again: begin anew in a folder that holds another search.
    """

    search: Search
    output: Path
    flash: str | None = None
    workers: int = 1
    cluster: str | None = None
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a search.

    Attributes:
        output: its folder.
        tried: all trials.
        front: those that no other one beats, the best of the first objective ahead.
        best: files and figures of that one, trained anew.
    """

    output: Path
    tried: list[Tried]
    front: list[Tried]
    best: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The object of ``edgeml tune --json``."""
        return {
            "output": str(self.output),
            "trials": len(self.tried),
            "failed": sum(each.result.failure is not None for each in self.tried),
            "front": [
                {
                    "trial": each.number,
                    "values": dict(each.values),
                    "figures": dict(each.figures),
                    "files": str(self.output / TRIALS / str(each.number)),
                }
                for each in self.front
            ],
            "best": self.best,
        }


def tune(request: Request, tell: Progress) -> Found:
    """Search, and train the best model.

    Args:
        request: what to do. All that can be wrong with it is found before the first trial.
        tell: told of trials and of the last training.

    Raises:
        EdgeError: as `Study`, `Meter`, `Local`, `Cluster`.
        GateError: no trial is within the limits.
    """
    search, output = request.search, request.output
    search.check()
    meter = _meter(request)
    with Study(output, search, again=request.again) as study:
        if len(study.tried) < search.trials:
            _try(study, request, meter, tell)
        tried, front = study.tried, study.front()
        write_atomic(output / outcome.TABLE, outcome.table(tried, front).encode())
        if not front:
            raise _nothing(study)
        title = f"{search.dataset.name}: {len(tried)} trials"
        write_atomic(output / outcome.PICTURE, outcome.picture(tried, front, search.goals, title))
        made = _made_before(output, front[0])
        found = Found(
            output=output, tried=tried, front=front, best=made or best.make(study, front[0], tell.final)
        )
        write_atomic(output / FOUND, json.dumps(found.as_dict(), indent=1, ensure_ascii=False).encode())
    return found


def _meter(request: Request) -> Meter | None:
    search = request.search
    if search.target is None:
        return None
    meter = Meter(search.target, request.flash)
    meter.check([*search.goals.objectives, *search.goals.limits])
    return meter


def _try(study: Study, request: Request, meter: Meter | None, tell: Progress) -> None:
    def on_result(ended: Tried, done: int) -> None:
        tell.ended(ended, done)
        write_atomic(request.output / outcome.TABLE, outcome.table(study.tried, study.front()).encode())

    with Remembered() as interruption, _crew(study, request, tell) as crew:
        tell.begin(len(study.tried), study.search.trials, crew.size)
        study.run(crew, meter, on_result, interruption.check)
    if len(study.tried) < study.search.trials:
        tell.note(f"there is nothing else to try: {len(study.tried)} trials")


def _crew(study: Study, request: Request, tell: Progress) -> Any:
    crew: Crew = (
        Cluster(request.cluster, request.search.dataset)
        if request.cluster
        else Local(request.workers, study.folder.running, tell.working)
    )
    return crew


def _made_before(output: Path, first: Tried) -> dict[str, Any] | None:
    """What an earlier run of the same search made of the same trial."""
    try:
        made: dict[str, Any] = json.loads((output / FOUND).read_text(encoding="utf-8"))["best"]
        there = all((output / name).exists() for name in (best.KERAS, best.TFLITE))
        return made if there and made["trial"] == first.number else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _nothing(study: Study) -> GateError:
    search, output, tried = study.search, study.folder.path, study.tried
    failed = [each.result.failure for each in tried if each.result.failure is not None]
    if len(failed) == len(tried):
        return GateError(f"{output}: all {len(tried)} trials have failed", found=failed[0])
    wanted = [f"{name} {_bound(name)} {limit:,.10g}" for name, limit in search.goals.limits.items()]
    near = nearest(tried, search.goals)
    if near is None:
        reasons = next(each.result.reasons for each in tried if each.result.reasons)
        found = f"none of {len(tried)}: {'; '.join(reasons)}"
    else:
        each, name = near
        figure = outcome.cell(name, each.figures.get(name))
        found = f"{name} {figure} in trial {each.number}, which comes nearest of {len(tried)}"
    return GateError(
        f"{output}: no trial is within the limits",
        expected=", ".join([*wanted, *([f"{search.board} runs it"] if search.board else [])]),
        found=found,
        remedy=f"see {output / outcome.TABLE}; allow more, or search smaller models",
    )


def _bound(name: str) -> str:
    return "at least" if FIGURES[name].rises else "at most"
