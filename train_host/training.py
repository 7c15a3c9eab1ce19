"""A training run from a dataset folder to a model file.

TensorFlow works in a child process: its memory, its messages and its crashes stay there. It writes into a
workspace that this process has made beside the place of the model; only what is complete is moved from there.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from converters import recipes
from converters.conversion import convert
from edge_sdk import child
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ChildError, ConfigError, MissingExtraError, Retry, one_line
from train_host import architectures, augment, companions, resuming, tasks
from train_host.config import Config
from train_host.fitting import balance, members, warmstart
from train_host.folds import Plan, cross_validate
from train_host.interruption import Interruption
from train_host.judging import challenge, thresholds
from train_host.worker import Site
from train_host.workspace import Workspace

#: So often all workers begin again when one of them has gone.
_RESTARTS = 5
#: Longer than any training on one machine; the child's protocol wants a number.
_TIMEOUT_S = 30 * 86400.0

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """What to train, on what, and where to.

    Attributes:
        data: the dataset folder.
        config: how.
        output: a .keras file; None only measures, by `folds`.
        folds: number of cross-validation folds, or ``all`` for one a group; 0 for none.
        recipe: of a conversion that the model goes through too, or that of each fold; None for none.
        workers: folds side by side; None for as many as there are cores.
        resume: go on where a training of this model was interrupted; from the beginning if none was.
        events: a folder for TensorBoard.
        checkpoint_s: within an epoch a checkpoint is written after so many seconds.
    """

    data: Path
    config: Config = field(default_factory=Config)
    output: Path | None = None
    folds: int | str = 0
    recipe: str | None = None
    workers: int | None = None
    resume: bool = False
    events: Path | None = None
    checkpoint_s: float = 30.0

    @property
    def plan(self) -> Plan:
        """Of the cross-validation."""
        return Plan(self.folds, self.recipe, self.workers)


def train(request: Request, on_progress: Progress | None = None) -> dict[str, Any]:
    """Train a model and write it with its record and its pictures; or cross-validate; or both.

    Ctrl-C while it fits, or a system that shuts down, leaves a checkpoint that `Request.resume` goes on from.

    Args:
        request: what to do. All that can be wrong with it is found before TensorFlow starts.
        on_progress: called with facts: the ``stage``, the figures of an ``epoch``, a ``note`` to be read.

    Returns:
        ``accuracy``, ``interval``, ``n``, ``per_group``, ``seconds``; ``model`` and, beside it, ``report``
        and ``record``; ``folds`` and ``converted`` where asked for.

    Raises:
        DatasetError: the data cannot be used as asked.
        ConfigError: an option does not fit the data, or is not what an interrupted training began with.
        MissingExtraError: TensorFlow is not installed.
        DeviceError: the place of the model cannot be written, or another training of it goes on.
        GateError: the converted model is not good enough; the one that was trained is there.
        KeyboardInterrupt: Ctrl-C.
    """
    started = time.monotonic()
    say = on_progress or _ignore
    dataset, config = _check(request)
    request = replace(request, config=config)
    facts: dict[str, Any] = {}
    if request.folds:
        facts = cross_validate(request.data, config, request.plan, say)
    output = request.output
    if output is not None:
        facts |= _made(request, output, dataset, say)
        who = members.member(config.distribute)
        if who is not None and not who.chief:
            say({"note": f"worker {who.index} of {len(who.workers)}: the model is with worker 0"})
            request = replace(request, output=None)
        elif request.recipe is not None:
            facts["converted"] = _converted(output, request.recipe, say)
    return {**facts, **_places(request.output), "seconds": round(time.monotonic() - started, 2)}


def _places(model: Path | None) -> dict[str, str | None]:
    """Where the files are; None where none were asked for, or another worker has them."""
    if model is None:
        return {"model": None, "report": None, "record": None}
    report, record = (str(companions.path(model, kind)) for kind in (companions.PAGE, companions.RECORD))
    return {"model": str(model), "report": report, "record": record}


def _made(request: Request, output: Path, dataset: Dataset, say: Progress) -> dict[str, Any]:
    """Train in a workspace, and put what was made into its place; of several workers the chief does that."""
    who = members.member(request.config.distribute)
    is_helper = who is not None and not who.chief
    own = (
        output.with_name(f"{output.stem}.worker-{who.index}{output.suffix}") if who and is_helper else output
    )
    with Workspace(own) as place, Interruption(place.stop_path) as interruption:

        def watched(facts: dict[str, Any]) -> None:
            interruption.watch(facts)
            say(facts)

        site = Site(
            model=str(place.building / output.name),
            lock=str(place.lock_path),
            stop=str(place.stop_path),
            checkpoints=str(place.checkpoints),
            run=_begun(request, own, dataset, say),
            resume=request.resume,
            checkpoint_s=request.checkpoint_s,
            events=str(request.events.absolute()) if request.events else None,
        )
        try:
            facts = _work(request, watched, place.folder, site)
        except ChildError:
            if left := resuming.interrupted(own):
                say({"note": f"{own}: a checkpoint is left; --resume goes on in {resuming.where(left)}"})
            raise
        if stopped := facts.get("interrupted"):
            said = "stopped in epoch {epoch} of {epochs}".format(**stopped)
            say({"note": f"{said}; --resume goes on from there"})
            interruption.end()
        if is_helper:
            place.discard()
        else:
            place.publish()
    return facts


def _converted(model: Path, recipe: str, say: Progress) -> dict[str, Any]:
    """Put its conversion beside a model."""
    output = model.with_suffix(".tflite")
    report = convert(model, output, recipe=recipe, on_progress=lambda line: say({"stage": line}))
    return report.as_dict()


def _begun(request: Request, output: Path, dataset: Dataset, say: Progress) -> int:
    """The number of the run; it may be one that was interrupted."""
    before = resuming.interrupted(output)
    if request.resume:
        if before is None:
            say({"note": f"{output}: no checkpoint to go on from, so it begins at the beginning"})
        else:
            resuming.check(output, before, resuming.identity(dataset, request.config.for_dataset(dataset)))
            say({"note": f"{output}: goes on in {resuming.where(before)}"})
    elif before is not None:
        found = f"a training of it was interrupted in {resuming.where(before)}"
        say({"note": f"{output}: {found}, and is given up after the first epoch; --resume goes on with it"})
    return resuming.run_number(before, resume=request.resume)


def _work(request: Request, say: Progress, scratch: Path, site: Site) -> dict[str, Any]:
    several = members.member(request.config.distribute) is not None
    restarts = _RESTARTS if several else 0
    while True:
        try:
            facts: dict[str, Any] = child.call(
                "train_host.worker:work",
                timeout_s=_TIMEOUT_S,
                on_progress=say,
                data=str(request.data),
                config=request.config.as_dict(),
                scratch=str(scratch),
                site=msgspec.to_builtins(site),
            )
        except (Retry, ChildError) as error:
            if not restarts:
                raise
            restarts -= 1
            say({"note": f"{one_line(error)[:300]}; beginning again from the last checkpoint"})
            site = msgspec.structs.replace(site, resume=True)
        else:
            return facts


def _ignore(facts: dict[str, Any]) -> None:
    return


def _check(request: Request) -> tuple[Dataset, Config]:
    """Find what is wrong before TensorFlow takes its seconds to start; old models complete the config."""
    _check_options(request)
    output = request.output
    dataset = Dataset.load(request.data)
    tasks.of(dataset)
    config = warmstart.enter(request.config, dataset)
    architectures.choose(config.arch, dataset, config.model)
    augment.check(config.for_dataset(dataset).augment, dataset, config)
    balance.check(config.class_weights, dataset.labels, dataset.task)
    if request.folds:
        request.plan.check(dataset, config)
    config = challenge.enter(config, dataset, output)
    if output is not None:
        warmstart.check(config, dataset)
        thresholds.check(config, dataset, config.divide(dataset))
    return dataset, config


def _check_options(request: Request) -> None:
    """What is wrong whatever the data are."""
    output, config = request.output, request.config
    if output is None and not request.folds:
        raise ConfigError("nothing to do", expected="-o MODEL.keras, or --folds K, or both")
    if output is not None and output.suffix != ".keras":
        raise ConfigError(f"{output}: suffix", expected=".keras", found=output.suffix or "none")
    if output is not None and not output.parent.is_dir():
        raise ConfigError(
            f"{output.parent}: no such folder", remedy=f"make it first: mkdir -p {output.parent}"
        )
    for name, why in (
        ("init_from", "they test on groups that the model has seen"),
        ("distribute", "they are trained side by side"),
    ):
        if request.folds and getattr(config, name) is not None:
            raise ConfigError(name, expected=f"no --folds: {why}", found="both")
    if config.distribute is not None:
        members.parse(config.distribute)
        members.member(config.distribute)
    if request.events is not None and importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("--tensorboard", "tensorboard", "tensorboard")
    if request.recipe is not None:
        recipes.find(request.recipe)
