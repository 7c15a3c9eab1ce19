"""What the tests of the training loop run in a process that has TensorFlow already."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import tensorflow as tf

from edge_sdk.dataset import Dataset
from train_host import config as configs
from train_host import worker
from train_host.fitting import balance, fit, loop, precision, warmstart
from train_host.fitting.checkpoints import Checkpoints
from train_host.fitting.session import Interrupted, Session
from train_host.windows import feeds, samples
from train_host.windows.prepare import prepare
from train_host.workspace import Workspace


def _fitted(data: str, flags: dict[str, Any], session: Session, *, stored: bool = False) -> Any:
    dataset = Dataset.load(data)
    config = configs.load(None, **flags).for_dataset(dataset)
    if stored:
        pieces = dataset.pieces(dataset.groups, config.window or 1, config.hop or 1)
        windows = samples._store(pieces, config.hop or 1, Path(data))
    else:
        windows = dataset.windows(dataset.groups, config.window or 1, config.hop or 1)
    return fit.fit(dataset, prepare(dataset, windows, config.divide(dataset)), config, session)


def _outcome(fitted: Any) -> tuple[list[bytes], Any, int]:
    variables = [np.asarray(variable).tobytes() for variable in fitted.model.variables]
    return variables, fitted.history, fitted.best_epoch


def interrupted(
    data: str, flags: dict[str, Any], scratch: str, moments: dict[str, list[int]], steps: int
) -> dict[str, Any]:
    """Stop trainings again and again, go on each time, and compare them with one that nobody disturbed.

    Args:
        data: a dataset folder.
        flags: of the config.
        scratch: a folder for checkpoints.
        moments: for windows in ``memory``, and on the ``disk``: steps of the whole training after which it is
            stopped.
        steps: in an epoch.

    Returns:
        For both ``stops``, epoch and step of each, and ``same``: whether weights, history and best epoch are.
    """
    loop._CALL_S = 0.0  # a step a call, so that it can be stopped after each
    undisturbed = _outcome(_fitted(data, flags, Session()))
    found = {}
    for where, stops in moments.items():
        stopped, outcome = _stopped(data, flags, Path(scratch) / where, stops, steps, where == "disk")
        same = [one == other for one, other in zip(outcome, undisturbed, strict=True)]
        found[where] = {"stops": stopped, "same": same}
    return found


def _stopped(
    data: str, flags: dict[str, Any], scratch: Path, moments: list[int], steps: int, stored: bool
) -> tuple[list[list[int]], Any]:
    scratch.mkdir()
    stop = scratch / "stop"
    stops: list[list[int]] = []
    for moment in [*moments, 1 << 30]:
        at = [0, 0]

        def report(facts: dict[str, Any], moment: int = moment, at: list[int] = at) -> None:
            at[:] = facts["epoch"], facts.get("step", 0)
            if (facts["epoch"] - ("step" in facts)) * steps + facts.get("step", 0) >= moment:
                stop.touch()

        session = Session(report, Checkpoints(scratch / "checkpoints", {}, run=1), stop=stop)
        try:
            return stops, _outcome(_fitted(data, flags, session, stored=stored))
        except Interrupted:
            stop.unlink()
            stops.append(at)
    raise AssertionError("it never came to its end")


def made(data: str, config: str, output: str) -> None:
    """What `training.train` does, but in this process: saves a start of TensorFlow."""
    with Workspace(Path(output)) as place:
        site = worker.Site(
            model=str(place.building / place.output.name),
            lock=str(place.lock_path),
            stop=str(place.stop_path),
            checkpoints=str(place.checkpoints),
            run=1,
            resume=False,
            checkpoint_s=30.0,
        )
        settings = configs.load(Path(config))
        worker.work(data, settings.as_dict(), str(place.folder), msgspec.to_builtins(site))
        place.publish()


def batches(data: str, flags: dict[str, Any], starts: list[list[int]], count: int) -> list[dict[str, Any]]:
    """What is fed from some steps on: digests of windows, labels, weights; in memory, then from the disk."""
    dataset = Dataset.load(data)
    config = configs.load(None, **flags).for_dataset(dataset)
    arguments = dataset.groups, config.window or 1, config.hop or 1
    memory = dataset.windows(*arguments)
    disk = samples._store(dataset.pieces(*arguments), config.hop or 1, Path(data))
    weights = balance.table(config.class_weights, memory.y, dataset.labels)
    found = []
    for windows in (memory, disk):
        begin = feeds.training(windows, config, weights)
        for epoch, step in starts:
            for x, y, weight in begin(epoch, step).take(count).as_numpy_iterator():
                content = hashlib.sha256(x.tobytes()).hexdigest()
                found.append({"x": content, "n": len(x), "y": y.tolist(), "weight": weight.tolist()})
    return found


def in_order(data: str, flags: dict[str, Any]) -> list[bool]:
    """Whether all windows come once and in their order, in memory and from the disk."""
    dataset = Dataset.load(data)
    config = configs.load(None, **flags).for_dataset(dataset)
    arguments = dataset.groups, config.window or 1, config.hop or 1
    memory = dataset.windows(*arguments)
    disk = samples._store(dataset.pieces(*arguments), config.hop or 1, Path(data))
    result = []
    for windows in (memory, disk):
        every, count = feeds.in_order(windows)
        x, y = zip(*every.as_numpy_iterator(), strict=True)
        result += [np.array_equal(np.concatenate(x), memory.x), np.array_equal(np.concatenate(y), memory.y)]
        result.append(len(x) == count)
        result.append(
            np.array_equal(np.concatenate(list(feeds.inputs(windows).as_numpy_iterator())), memory.x)
        )
    return result


def warm(data: str, flags: dict[str, Any]) -> dict[str, Any]:
    """How far what a model says before its first step is from what the one says that it starts from."""
    dataset = Dataset.load(data)
    notes: list[Any] = []
    config = warmstart.enter(configs.load(None, **flags), dataset).for_dataset(dataset)
    windows = dataset.windows(dataset.groups, config.window or 1, config.hop or 1)
    prepared = prepare(dataset, windows, config.divide(dataset))
    model = fit._model(dataset, prepared, config, Session(notes.append))
    old = keras.saving.load_model(config.init_from, compile=False)
    says, said = (fit.scores(one, windows) for one in (model, old))
    kernels = [one.layers[-1].get_weights()[0] for one in (model, old)]
    return {
        "notes": [fact["note"] for fact in notes],
        "apart": float(np.abs(says - said).max()) if says.shape == said.shape else None,
        "window": config.window,
        "columns": [kernel.T.round(5).tolist() for kernel in kernels],
        "split": config.divide(dataset).as_dict(),
    }


def halved(data: str, flags: dict[str, Any], place: str) -> dict[str, Any]:
    """A training in half precision: what computed in it, what was saved, whether it learned."""
    computed: dict[str, str] = {}
    lower = precision.lower

    def watched(model: Any, policy: str) -> None:
        lower(model, policy)
        computed.update({layer.name: layer.compute_dtype for layer in model.layers})

    precision.lower = watched
    try:
        fitted = _fitted(data, flags, Session())
    finally:
        precision.lower = lower
    path = Path(place) / "m.keras"
    fitted.model.save(path)
    saved = keras.saving.load_model(path, compile=False)
    return {
        "computed": computed,
        "saved": sorted({layer.compute_dtype for layer in saved.layers}),
        "variables": sorted({str(variable.dtype) for variable in saved.variables}),
        "history": fitted.history,
    }


def curves(data: str, flags: dict[str, Any], place: str) -> dict[str, Any]:
    """A training with curves, and what TensorBoard reads of them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fitted = _fitted(data, flags, Session(events=Path(place)))
    found: dict[str, Any] = {"history": fitted.history}
    for side in sorted(path.name for path in Path(place).iterdir()):
        events = EventAccumulator(str(Path(place) / side), size_guidance={"tensors": 0})
        events.Reload()
        found[side] = {
            tag: [[event.step, float(tf.make_ndarray(event.tensor_proto))] for event in events.Tensors(tag)]
            for tag in events.Tags()["tensors"]
        }
    return found


def history(data: str, flags: dict[str, Any]) -> dict[str, list[float]]:
    """Of a training."""
    figures: dict[str, list[float]] = _fitted(data, flags, Session()).history
    return figures
