"""The training loop: many steps in one call of a graph, a checkpoint now and then, an end when it is time.

`keras.Model.fit` takes windows in an order of its own and cannot begin in the middle of an epoch. This loop
runs the same `train_step` of the same compiled model on batches that epoch and step decide, so that it goes
on from a checkpoint exactly. What a step does is Keras' own; so are loss scaling and distribution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError
from train_host.fitting.checkpoints import Checkpoint
from train_host.fitting.course import Course
from train_host.fitting.distribution import Team
from train_host.fitting.events import Events
from train_host.fitting.pace import Pace
from train_host.fitting.session import Interrupted, Session

#: Steps in a call where several workers must make the same calls.
_CALLS_TOGETHER = 16
#: A call of the graph takes about so long: seldom enough to cost nothing, often enough to be stopped, s.
_CALL_S = 0.2


class Loop:
    """Trains one compiled model.

    Args:
        learner: compiled; holds all variables.
        begin: batches without end from an epoch and a step on, as `feeds.training` gives.
        windows: in an epoch.
        batch: windows in a step.
        validation: all its batches, and how many they are; None without a validation side.
        jit: compile the steps with XLA.

    Attributes:
        team: with whom; None for nobody.
    """

    def __init__(
        self,
        learner: Any,
        begin: Callable[[int, int], Any],
        windows: int,
        batch: int,
        validation: tuple[Any, int] | None,
        *,
        jit: bool = False,
    ) -> None:
        self.learner, self.windows, self.steps = learner, windows, -(-windows // batch)
        self._begin, self._validation = begin, validation
        self.team: Team | None = None
        self._strategy = learner.distribute_strategy
        self._advance = _repeated(learner.train_step, self._strategy, jit)
        self._measure = _repeated(learner.test_step, self._strategy, jit)
        self._best: list[NDArray[Any]] = []
        self._calls = 1

    def run(self, course: Course, session: Session) -> None:
        """Train from where the course stands to its end; the model then has the weights of the best epoch.

        Args:
            course: goes along; from the checkpoint of the session, where there is one.
            session: who hears of it, who may stop it.

        Raises:
            Interrupted: somebody wanted it to stop.
            ConfigError: the loss is not a number any more.
            DeviceError: a checkpoint cannot be written.
        """
        before = session.checkpoints.newest() if session.checkpoints else None
        if self.team is not None:
            before = self.team.sent(before)
        if before:
            course.restore(before.facts["course"])
        batches = iter(self._fed(lambda: self._begin(course.epoch, course.step)))
        self._advance.get_concrete_function(batches, tf.constant(1))  # makes all variables, and runs nothing
        if before:
            self._restore(before)
        self._train(batches, course, session)
        if self._best:
            _assign(self.learner.weights, self._best)

    def _train(self, batches: Any, course: Course, session: Session) -> None:
        pace, events = Pace(course, self.steps, self.windows), Events(session.events)
        began_s = time.monotonic() - course.seconds
        checked = self._checked()
        while not course.over:
            if course.step == 0:
                self.learner.reset_metrics()
            while course.step < self.steps:
                self._call(batches, course)
                course.seconds = time.monotonic() - began_s
                figures = self._figures(course)
                if course.step < self.steps:
                    session.report(
                        {"epoch": course.epoch + 1, "step": course.step, "steps": self.steps}
                        | {"epochs": course.epochs}
                        | pace.facts()
                        | figures
                    )
                    self._save(course, session)
            figures |= {f"val_{name}": value for name, value in checked().items()}
            course.complete(figures)
            course.seconds = time.monotonic() - began_s
            if course.patience and course.best_epoch == course.epoch:
                self._best = [variable.numpy() for variable in self.learner.weights]
            events.write(course.epoch, figures)
            session.report({"epoch": course.epoch, "epochs": course.epochs} | pace.facts() | figures)
            self._save(course, session)
        events.close()

    def _call(self, batches: Any, course: Course) -> None:
        """Run as many steps as take about `_CALL_S`; how many they are changes no result."""
        count = min(self._calls, self.steps - course.step)
        if self._several:
            count = min(_CALLS_TOGETHER, self.steps - course.step)  # all do the same number
        started_s = time.monotonic()
        self._advance(batches, tf.constant(count))
        if time.monotonic() - started_s < _CALL_S / 2:
            self._calls = min(2 * self._calls, 1 << 16)
        elif self._calls > 1 and time.monotonic() - started_s > 2 * _CALL_S:
            self._calls //= 2
        course.step += count

    def _checked(self) -> Callable[[], dict[str, float]]:
        """A function that gives the figures on the validation side as it is now."""
        if self._validation is None:
            return dict
        every, count = self._validation
        batches = iter(self._fed(lambda: self._for_each(every.repeat())))

        def figures() -> dict[str, float]:
            self.learner.reset_metrics()
            self._measure(batches, tf.constant(count))
            return _floats(self.learner.get_metrics_result())

        return figures

    def _fed(self, begin: Callable[[], Any]) -> Any:
        """What the replicas take of a dataset."""
        return begin() if self.team is None else self.team.feed(begin)

    def _for_each(self, batches: Any) -> Any:
        """Every replica takes all of it: each then has the same figures, and so have all together."""
        count = 1 if self.team is None else self.team.share.count
        if count == 1:
            return batches
        return batches.flat_map(lambda *batch: tf.data.Dataset.from_tensors(batch).repeat(count))

    @property
    def _several(self) -> bool:
        return self.team is not None and self.team.several

    def _figures(self, course: Course) -> dict[str, float]:
        figures = _floats(self.learner.get_metrics_result())
        if not math.isfinite(figures["loss"]):
            raise ConfigError(
                f"the training diverged in epoch {course.epoch + 1}",
                expected="a finite loss",
                found=figures["loss"],
                remedy="lower learning_rate, or see whether the data has values far out: edgeml data check",
            )
        return figures

    def _save(self, course: Course, session: Session) -> None:
        """Write a checkpoint if it is time; leave if somebody wants that."""
        kept, team = session.checkpoints, self.team
        if self._several and course.step:  # between epochs they agree
            return
        leaving = session.asked_to_stop and not course.over
        due = bool(kept and (leaving or course.over or kept.due(epoch_ended=course.step == 0)))
        if team is not None:
            leaving, due = team.anyone(leaving), team.anyone(due and team.chief)
        if kept and due:
            # To read a variable may take all workers; to write it down takes one.
            arrays = {
                f"{kind}/{number}": variable if isinstance(variable, np.ndarray) else variable.numpy()
                for kind, variables in self._state().items()
                for number, variable in enumerate(variables)
            }
            if team is None or team.chief:
                kept.write(course.epoch * self.steps + course.step, {"course": course.as_dict()}, arrays)
        if leaving:
            raise Interrupted(course.epoch + 1, course.epochs)

    def _restore(self, checkpoint: Checkpoint) -> None:
        groups: dict[str, list[NDArray[Any]]] = {}
        for name, array in checkpoint.arrays.items():
            groups.setdefault(name.partition("/")[0], []).append(array)
        for kind, variables in self._state().items():
            if kind == "best":
                self._best = groups.get(kind, [])
            else:
                _assign(variables, groups.get(kind, []))

    def _state(self) -> dict[str, list[Any]]:
        """All that a step reads and writes, seeds of random numbers among them, and the best weights."""
        return {
            "model": self.learner.variables,
            "optimizer": self.learner.optimizer.variables,
            "metrics": self.learner.metrics_variables,
            "best": self._best,
        }


def _repeated(step: Callable[[Any], Any], strategy: Any, jit: bool) -> Any:
    """A graph that runs a step on so many batches of an iterator."""
    compiled = tf.function(step, jit_compile=jit, reduce_retracing=True)
    if strategy.num_replicas_in_sync > 1:
        return _together(step, strategy)

    def run(batches: Any, count: Any) -> None:
        for _ in tf.range(count):
            strategy.run(compiled, args=(next(batches),))

    return tf.function(run, reduce_retracing=True)


def _together(step: Callable[[Any], Any], strategy: Any) -> Any:
    """The same for several replicas, a call a step: TensorFlow has no loop around what they exchange."""

    def run(batches: Any) -> None:
        strategy.run(step, args=(next(batches),))

    once = tf.function(run, reduce_retracing=True)

    class Repeated:
        """Looks like a tf.function."""

        def __call__(self, batches: Any, count: Any) -> None:
            for _ in range(int(count)):
                once(batches)

        def get_concrete_function(self, batches: Any, count: Any) -> Any:
            del count
            return once.get_concrete_function(batches)

    return Repeated()


def _assign(variables: list[Any], arrays: list[NDArray[Any]]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _floats(figures: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items()}
