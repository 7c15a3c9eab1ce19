"""Cross-validation by group: a model a fold, each judged on groups that it never saw.

Folds depend on nothing but the data, so several processes fit them side by side: small networks gain little
from a second thread. No TensorFlow here; `train_host.fold` is what such a process runs.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from converters import compare
from edge_sdk.child import Worker
from edge_sdk.dataset import Dataset, Split
from edge_sdk.errors import ConfigError
from train_host.config import Config
from train_host.judging.evaluate import spread

#: ``--folds all``: every group is a fold.
ALL = "all"
#: Longer than any fold takes; a child's protocol wants a number.
_TIMEOUT_S = 30 * 86400.0
#: A process with TensorFlow and a dataset is large, so that many cores do not mean as many of them.
_MOST_WORKERS = 4

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Plan:
    """What a cross-validation is asked to do.

    Attributes:
        count: number of folds, or `ALL`.
        recipe: each model is converted by it too, and judged on the same windows; None for none.
        workers: processes side by side; None chooses.
    """

    count: int | str
    recipe: str | None = None
    workers: int | None = None

    def splits(self, dataset: Dataset, config: Config) -> list[Split]:
        """The folds.

        Raises:
            DatasetError: fewer groups than folds.
        """
        count = len(dataset.groups) if self.count == ALL else int(self.count)
        return dataset.folds(count, config.seed, validation=config.validation)

    def check(self, dataset: Dataset, config: Config) -> None:
        """Find out what is wrong before TensorFlow takes its seconds to start.

        Raises:
            DatasetError: fewer groups than folds.
            ConfigError: less than one worker.
        """
        self.splits(dataset, config)
        if self.workers is not None and self.workers < 1:
            raise ConfigError("workers", expected="at least 1", found=self.workers)

    def crew(self, folds: int) -> int:
        """How many processes work side by side."""
        if self.workers is not None:
            return min(self.workers, folds)
        if Path("/dev/nvidiactl").exists():
            return 1  # they would fight for the memory of the GPU
        return max(1, min(len(os.sched_getaffinity(0)), folds, _MOST_WORKERS))


def cross_validate(data: Path, config: Config, plan: Plan, say: Progress) -> dict[str, Any]:
    """Train a model a fold, side by side, and say how they did.

    Args:
        data: the dataset folder.
        config: as the user gave it.
        plan: of the folds.
        say: called with facts about stages and epochs, ``fold`` and ``folds`` among them.

    Returns:
        ``accuracy`` (or what the task's figure is called), ``n``, and ``folds``: who was tested in ``each``
        and how well, ``mean`` and ``sd``; with a recipe ``converted``: its ``mean``, ``sd``, ``drop``,
        ``drop_interval``.

    Raises:
        EdgeError: the first that a fold ended in.
    """
    dataset = Dataset.load(data)
    settings = config.for_dataset(dataset)
    splits = plan.splits(dataset, settings)
    count = plan.crew(len(splits))
    teller = _Teller(say, len(splits))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeml-folds-", dir=_scratch()))
        workers = [stack.enter_context(Worker()) for _ in range(count)]
        free: SimpleQueue[Worker] = SimpleQueue()
        for worker in workers:
            free.put(worker)

        def fold(number: int, split: Split) -> dict[str, Any]:
            worker = free.get()
            try:
                result: dict[str, Any] = worker.call(
                    "train_host.fold:fold",
                    timeout_s=_TIMEOUT_S,
                    on_progress=lambda facts: teller(number, facts),
                    data=str(data),
                    config=settings.as_dict(),
                    split=split.as_dict(),
                    recipe=plan.recipe,
                    scratch=folder,
                    threads=None if count == 1 else max(1, len(os.sched_getaffinity(0)) // count),
                )
            finally:
                free.put(worker)
            teller.done()
            return result

        executor = ThreadPoolExecutor(count)
        futures = [executor.submit(fold, number, split) for number, split in enumerate(splits, start=1)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.close()  # whoever waits for it hears of its end
            raise
        executor.shutdown()
        results = [future.result() for future in futures]
    return summary(results, dataset.group, plan.recipe)


def summary(results: list[dict[str, Any]], by: str, recipe: str | None) -> dict[str, Any]:
    """The figures of all folds.

    Args:
        results: what `fold.fold` said of each; ``hits`` are taken out, as they are long.
        by: what a group is.
        recipe: that was tried.
    """
    figure = results[0]["figure"]
    hits = [result.pop("hits", None) for result in results]
    spreads = spread([result["value"] for result in results])
    folds: dict[str, Any] = {"by": by, "figure": figure, **spreads}
    if recipe is not None:
        figures = spread([result["converted"]["value"] for result in results])
        drop = spreads["mean"] - figures["mean"]
        folds["converted"] = {"recipe": recipe, **figures, "drop": drop if figure == "accuracy" else -drop}
        if all(hits):
            folds["converted"]["drop_interval"] = _interval(hits)
    each = [{figure: result["value"], **result} for result in results]
    n = sum(result["n"] for result in results)
    return {figure: spreads["mean"], "n": n, "folds": {**folds, "each": each}}


def _interval(hits: list[Any]) -> list[float]:
    """95 % interval of what the conversion lost over all tested windows, paired, with groups drawn anew."""
    before, after, groups = (
        [value for fold in hits for value in fold[key]] for key in ("before", "after", "group")
    )
    return list(compare.paired_interval(np.array(before, bool), np.array(after, bool), groups))


def _scratch() -> Path:
    """Where much may lie for a while; the usual place of temporary files is often in memory."""
    large = Path("/var/tmp")
    return large if "TMPDIR" not in os.environ and large.is_dir() else Path(tempfile.gettempdir())


class _Teller:
    """Passes on what folds report from their threads, with how many there are and how long all take."""

    def __init__(self, say: Progress, folds: int) -> None:
        self._say, self._folds, self._done = say, folds, 0
        self._lock, self._began_s = threading.Lock(), time.monotonic()

    def __call__(self, fold: int, facts: dict[str, Any]) -> None:
        with self._lock:
            known = {key: value for key, value in facts.items() if key != "left_s"}
            if self._done:
                spent_s = time.monotonic() - self._began_s
                known["left_s"] = round(spent_s / self._done * (self._folds - self._done), 1)
            self._say({**known, "fold": fold, "folds": self._folds})

    def done(self) -> None:
        with self._lock:
            self._done += 1
