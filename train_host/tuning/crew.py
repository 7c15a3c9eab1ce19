"""Who carries out the trials: processes on this machine, or the machines of a Ray cluster."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edge_sdk.child import Worker
from edge_sdk.closing import Closing
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, MissingExtraError, one_line, unexpected
from train_host.tuning.parcel import packed, unpacked
from train_host.tuning.trial import Order, Result, attempt

#: So long an address may take to answer, s.
_CONNECT_S = 10.0
#: Longer than any trial takes; a child's protocol wants a number.
_TIMEOUT_S = 30 * 86400.0

Progress = Callable[[int, dict[str, Any]], None]


class Crew(Protocol):
    """Works on several orders at once.

    Attributes:
        size: how many.
    """

    size: int

    def submit(self, order: Order) -> None:
        """Begin one."""

    def next(self) -> tuple[int, Result | EdgeError]:
        """The number of the next trial that ends, and what came of it; an error where a machine failed."""

    def close(self) -> None:
        """Let go of all; what still runs is lost."""


class Local(Closing):
    """Trials in processes of this machine, which end with this one.

    Args:
        size: how many at once; each gets its share of the cores.
        folder: to work in.
        on_progress: told the number of a trial and what it reports, from a thread of its own.
    """

    def __init__(self, size: int, folder: Path, on_progress: Progress | None = None) -> None:
        self.size = size
        self._folder, self._on_progress = folder, on_progress
        self._threads = None if size == 1 else max(1, (os.cpu_count() or 1) // size)
        self._workers = [Worker() for _ in range(size)]
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Result | EdgeError]] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def submit(self, order: Order) -> None:
        """Begin one, in a thread that waits for its process."""
        threading.Thread(target=self._run, args=(order,), daemon=True).start()

    def next(self) -> tuple[int, Result | EdgeError]:
        """Wait for one."""
        return self._done.get()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.close()

    def _run(self, order: Order) -> None:
        worker = self._free.get()
        try:
            found: Result | EdgeError = self._work(worker, order)
        except EdgeError as error:
            found = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the search must not wait for ever
            found = unexpected(f"trial {order.number}", error)
        self._free.put(worker)
        self._done.put((order.number, found))

    def _work(self, worker: Worker, order: Order) -> Result:
        tell = self._on_progress
        found = worker.call(
            "train_host.tuning.trial:work",
            timeout_s=_TIMEOUT_S,
            on_progress=None if tell is None else lambda facts: tell(order.number, facts),
            order=msgspec.to_builtins(order),
            folder=str(self._folder.absolute()),
            threads=self._threads,
        )
        return msgspec.convert(found, Result)


class Cluster(Closing):
    """Trials on the machines of a Ray cluster, each of which needs edgeml; each is sent the dataset once.

    Args:
        address: ``auto``, or ``host:port``.
        dataset: of all trials.
        cpus: of one trial.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError: there is no cluster at that address.
    """

    def __init__(self, address: str, dataset: Dataset, cpus: int = 1) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError("edgeml tune --ray", "ray", error.name) from error
        self._ray = ray
        try:
            _reach(address)
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            raise DeviceError(
                f"--ray {address}: no cluster",
                found=one_line(error),
                remedy="start one with: ray start --head",
            ) from error
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < cpus:
            self.close()
            raise ConfigError("--ray: cores of the cluster", expected=f"at least {cpus}", found=cores)
        self.size = cores // cpus
        self._content, self._digest = ray.put(packed(dataset)), dataset.digest
        # A machine that dies takes its trials with it: they begin anew on another.
        self._remote = ray.remote(num_cpus=cpus, max_retries=3)(_there)
        self._running: dict[Any, int] = {}

    def submit(self, order: Order) -> None:
        """Begin one."""
        handle = self._remote.remote(msgspec.to_builtins(order), self._content, self._digest)
        self._running[handle] = order.number

    def next(self) -> tuple[int, Result | EdgeError]:
        """Wait for one."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        number = self._running.pop(ready[0])
        try:
            return number, msgspec.convert(self._ray.get(ready[0]), Result)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            found = cause if isinstance(cause, EdgeError) else unexpected(f"trial {number}", cause)
            return number, found
        except (self._ray.exceptions.OutOfMemoryError, self._ray.exceptions.WorkerCrashedError) as error:
            # Several processes have died of it, one after the other.
            return number, Result(number=number, failure=f"its process died: {one_line(error)}"[:500])
        except self._ray.exceptions.RayError as error:
            return number, DeviceError(f"trial {number}: its machine failed", found=one_line(error))

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def _reach(address: str) -> None:
    """See that somebody listens there; Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
        ValueError: no address.
    """
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), _CONNECT_S).close()


def _there(order: dict[str, Any], content: bytes, digest: str) -> dict[str, Any]:
    """On the other machine."""
    known = msgspec.convert(order, Order)
    place = unpacked(content, digest)
    found = attempt(msgspec.structs.replace(known, dataset=str(place)))
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain
