"""What a model is fed: batches of windows, cut or read ahead of the step that takes them.

The whole of it runs in tf.data's threads. Which windows come in which batch depends on seed, epoch and step
alone, whether they are in memory or on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_sdk.dataset import Windowed
from train_host.config import Config
from train_host.windows.order import Order
from train_host.windows.samples import StoredWindows
from train_host.windows.shares import Share

#: Windows in a batch that no step learns from.
SCORE_BATCH = 512
#: Batches that are ready while another one is worked on.
_AHEAD = 8
#: Neighbours that are read from the disk in one piece, bytes.
_RUN_BYTES = 1 << 20


def training(
    windows: Windowed,
    config: Config,
    weights: NDArray[np.float32] | None = None,
    share: Share | None = None,
) -> Callable[[int, int], Any]:
    """Shuffled batches without end.

    Args:
        windows: of the training side.
        config: for batch, seed, memory.
        weights: float32 [classes], how much a window of each counts; None where all count alike.
        share: of each batch that this worker takes, an element for each of its replicas; None for all of it.

    Returns:
        A function from an epoch and a step in it to a tf.data.Dataset of (x, y) or (x, y, weight) from there.
    """
    order, x = _order(windows, config), _stored(windows)
    take = _taking(windows, weights)
    give: Callable[..., Any] = take if share is None else _weighed(take)

    def begin(epoch: int, step: int) -> Any:
        def pools() -> Iterator[NDArray[np.int64]]:
            number, start = epoch, step * config.batch
            while True:
                for chosen in order.pools(number, start):
                    if x is not None:
                        x.announce(chosen)
                    yield chosen
                number, start = number + 1, 0

        numbers = tf.data.Dataset.from_generator(pools, output_signature=tf.TensorSpec([None], tf.int64))
        # a pool is a whole number of batches, unless it is the last of an epoch
        batches = numbers.prefetch(1).flat_map(
            lambda chosen: tf.data.Dataset.from_tensor_slices(chosen).batch(config.batch)
        )
        if share is not None:
            batches = batches.flat_map(partial(_pieces, share))
        return batches.map(give, num_parallel_calls=2, deterministic=True).prefetch(_AHEAD)

    return begin


def _pieces(share: Share, chosen: Any) -> Any:
    """The shares of a batch, each with how much a window of it counts: (int64 [n], float32 []).

    The mean over a share of another size than the others' counts as much more or less. A share without
    windows has one that counts nothing.
    """
    size = tf.size(chosen)
    pieces = None
    for number in range(share.first, share.first + share.count):
        start, end = number * size // share.of, (number + 1) * size // share.of
        counts = tf.cast(share.of * (end - start), tf.float32) / tf.cast(size, tf.float32)
        one = tf.data.Dataset.from_tensors((chosen[start : tf.maximum(end, start + 1)], counts))
        pieces = one if pieces is None else pieces.concatenate(one)
    return pieces


def _weighed(take: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The same for shares: (x, y, weight)."""

    def weighed(chosen: Any, counts: Any) -> Any:
        x, y, *scale = take(chosen)
        return x, y, (scale[0] if scale else tf.ones(tf.shape(chosen)[:1])) * counts

    return weighed


def in_order(windows: Windowed, weights: NDArray[np.float32] | None = None) -> tuple[Any, int]:
    """All windows once: a tf.data.Dataset of (x, y) or (x, y, weight), and how many batches it has."""
    numbers = tf.data.Dataset.range(len(windows)).batch(SCORE_BATCH)
    batches = numbers.map(_taking(windows, weights), num_parallel_calls=2, deterministic=True)
    return batches.prefetch(2), steps(windows, SCORE_BATCH)


def inputs(windows: Windowed) -> Any:
    """All windows once, without what is to be learned of them: a tf.data.Dataset of batches."""
    numbers = tf.data.Dataset.range(len(windows)).batch(SCORE_BATCH)
    return numbers.map(_reading(windows), num_parallel_calls=2, deterministic=True).prefetch(2)


def steps(windows: Windowed, batch: int) -> int:
    """Batches in an epoch; the last may be smaller."""
    return -(-len(windows) // batch)


def _stored(windows: Windowed) -> StoredWindows | None:
    """Windows that are in a file; None of those in memory."""
    x: Any = windows.x
    return x if isinstance(x, StoredWindows) else None


def _order(windows: Windowed, config: Config) -> Order:
    x = _stored(windows)
    if x is None:
        return Order(len(windows), config.seed, pool=len(windows))
    length = int(np.prod(x.shape[1:])) * x.dtype.itemsize
    pool = max(1, (config.memory_mb << 20) // length // config.batch) * config.batch
    return Order(len(windows), config.seed, pool, run=max(1, _RUN_BYTES // x.hop_bytes))


def _taking(windows: Windowed, weights: NDArray[np.float32] | None) -> Callable[[Any], Any]:
    """From int64 [n], numbers of windows, to what a step takes."""
    read = _reading(windows)
    with tf.device("CPU:0"):
        y = tf.constant(windows.y)
        scale = None if weights is None else tf.constant(weights)

    def take(chosen: Any) -> Any:
        labels = tf.gather(y, chosen)
        if scale is None:
            return read(chosen), labels
        return read(chosen), labels, tf.gather(scale, labels)

    return take


def _reading(windows: Windowed) -> Callable[[Any], Any]:
    """From int64 [n], numbers of windows, to float32 [n, …]."""
    stored = _stored(windows)
    if stored is None:
        with tf.device("CPU:0"):
            x = tf.constant(windows.x)
        return lambda chosen: tf.gather(x, chosen)

    def read(chosen: Any) -> Any:
        x = tf.numpy_function(stored.read, [chosen], tf.float32, stateful=False)
        return tf.ensure_shape(x, [None, *stored.shape[1:]])

    return read
