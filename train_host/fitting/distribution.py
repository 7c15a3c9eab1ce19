"""Several devices, or several machines, train one model: the same steps on shares of the same batches.

What one worker would do, all do together: a batch is cut into as many shares as there are replicas, and their
gradients are added up. The checkpoint is the chief's, who is worker 0; the others are sent it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError, Retry, one_line
from train_host.fitting.checkpoints import Checkpoint
from train_host.fitting.members import MIRRORED, Member, member, parse
from train_host.windows.shares import Share

#: What TensorFlow raises when another worker has gone.
_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
)


class Team:
    """Those who train one model together.

    Args:
        strategy: of TensorFlow.
        who: this worker; None where there is but one.

    Attributes:
        share: of this worker in each batch.
        chief: whether it writes checkpoints.
        several: whether there are other processes, with whom every step must be agreed.
    """

    def __init__(self, strategy: Any, who: Member | None) -> None:
        self.strategy = strategy
        every, workers = strategy.num_replicas_in_sync, 1 if who is None else len(who.workers)
        local = every // workers
        index = 0 if who is None else who.index
        self.share = Share(index * local, local, every)
        self.chief, self.several = index == 0, workers > 1
        self._who = who

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """In which a model is made and trained.

        Raises:
            Retry: another worker has gone.
        """
        with lost() if self.several else contextlib.nullcontext(), self.strategy.scope():
            yield

    def feed(self, begin: Callable[[], Any]) -> Any:
        """What this worker's replicas take, an element each in turn, of the dataset that a function makes."""
        return self.strategy.distribute_datasets_from_function(lambda context: begin())

    def check_same(self, identity: str) -> None:
        """See that all have the same data, options and versions.

        Raises:
            ConfigError: naming a worker that has not.
        """
        if not self.several:
            return
        marks = self._gathered(
            np.frombuffer(hashlib.sha256(identity.encode()).digest(), np.uint8).astype(np.float32)
        )
        other = np.flatnonzero((marks != marks[0]).any(axis=1))
        if other.size:
            worker = int(other[0]) // self.share.count
            raise ConfigError(
                f"worker {worker} trains something else than worker 0",
                expected="the same dataset, options and versions everywhere",
                found="another digest of them",
                remedy="compare: edgeml data version; give the same command everywhere",
            )

    def anyone(self, wish: bool) -> bool:
        """Whether one of all wishes so; all get the same answer."""
        return bool(self._gathered(np.array([wish], np.float32)).any()) if self.several else wish

    def sent(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        """The chief's checkpoint, for all."""
        if not self.several:
            return checkpoint
        mine = checkpoint.to_bytes() if checkpoint is not None and self.chief else b""
        length = int(
            self._gathered(np.array([len(mine) % 65536, len(mine) // 65536], np.float32))[0] @ [1, 65536]
        )
        if not length:
            return None
        content = np.zeros(length, np.int32)
        if self.chief:
            content[:] = np.frombuffer(mine, np.uint8)
        return Checkpoint.from_bytes(self._summed(content).astype(np.uint8).tobytes())

    def _gathered(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each replica's worker gives, float32 [replicas, n]."""
        rows = np.zeros((self.share.of, len(row)), np.float32)
        rows[self.share.first] = row
        found = self._summed(rows)
        return np.repeat(found[:: self.share.count], self.share.count, axis=0)

    def _summed(self, values: NDArray[Any]) -> NDArray[Any]:
        """The sum over all workers; each gives its values once."""

        def add(given: Any) -> Any:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group % self.share.count, 0)
            return context.all_reduce("SUM", tf.where(first, given, tf.zeros_like(given)))

        total = self.strategy.run(tf.function(add), args=(tf.constant(values),))
        result: NDArray[Any] = self.strategy.experimental_local_results(total)[0].numpy()
        return result


def assemble(distribute: str | None) -> Team | None:
    """The team that a config asks for; call it before TensorFlow has computed anything.

    Raises:
        ConfigError: as `members.parse`.
    """
    if distribute is None:
        return None
    kind, count = parse(distribute)
    if kind == MIRRORED:
        return Team(tf.distribute.MirroredStrategy(_devices(count)), None)
    who = member(distribute)
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=tf.distribute.experimental.CommunicationImplementation.AUTO
    )
    with lost():
        return Team(tf.distribute.MultiWorkerMirroredStrategy(communication_options=options), who)


@contextlib.contextmanager
def lost() -> Iterator[None]:
    """What TensorFlow says of a worker that has gone, as an error after which all begin anew.

    Raises:
        Retry: one has gone.
    """
    try:
        yield
    except _GONE as error:
        raise Retry(
            "another worker has gone",
            found=one_line(error)[:200],
            remedy="start it again; the others wait, and all go on from the last checkpoint",
        ) from error


def _devices(count: int | None) -> list[str] | None:
    """GPUs; on a machine without, the CPU as so many devices."""
    graphics = tf.config.list_physical_devices("GPU")
    if graphics:
        if count is not None and count > len(graphics):
            raise ConfigError("distribute: GPUs", expected=f"{count}", found=len(graphics))
        return None if count is None else [f"GPU:{number}" for number in range(count)]
    wanted = count or 1
    if wanted > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        each = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [each] * wanted)
    return [f"CPU:{number}" for number in range(wanted)]


def build(learner: Any, x: NDArray[np.float32], y: NDArray[Any]) -> None:
    """Make all variables of a compiled model, which replicas cannot.

    Args:
        learner: compiled, within `Team.scope`.
        x: float32 [1, …], a window.
        y: [1, …], what is to be learned of it.
    """
    learner.optimizer.build(learner.trainable_variables)
    learner.compute_metrics(x, y, learner(x))
    learner.reset_metrics()


def plain(model: Any, build: Callable[[], Any]) -> Any:
    """A model outside of the strategy with the same weights, which anything can be done with."""
    copy = build()
    for mine, theirs in zip(copy.weights, model.weights, strict=True):
        mine.assign(theirs.numpy())
    return copy
