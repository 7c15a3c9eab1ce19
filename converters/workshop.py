"""The child processes of one conversion, and the folder that they work in.

Frameworks crash, print and leak, and a model file may be hostile: whatever touches one runs in a process of
its own, in the environment that its loader needs. Arrays go to and fro as .npz files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from converters.load import arrays
from edge_sdk.child import Worker
from edge_sdk.closing import Closing
from edge_sdk.errors import ChildError, ChildTimeoutError, ModelError


class Workshop(Closing):
    """Calls functions in child processes, one process an environment, each started when first needed.

    Args:
        what: the model, for messages.
        timeout_s: for each call, s.
        on_progress: called with one line at each step.
        memory_bytes: what each process may allocate; None for no limit.
    """

    def __init__(
        self,
        what: str,
        timeout_s: float = 900.0,
        on_progress: Callable[[str], None] | None = None,
        *,
        memory_bytes: int | None = None,
    ) -> None:
        self._what, self._timeout_s, self._on_progress = what, timeout_s, on_progress
        self._memory_bytes = memory_bytes
        self._folder = tempfile.TemporaryDirectory(prefix="edgeml-convert-")
        self._workers: dict[str | None, Worker] = {}

    @property
    def folder(self) -> Path:
        """Where files lie until the conversion is over."""
        return Path(self._folder.name)

    def tell(self, step: str) -> None:
        """Say what is being done."""
        if self._on_progress is not None:
            self._on_progress(step)

    def call(self, function: str, *, environment: str | None = None, **arguments: Any) -> Any:
        """Call ``module:function``; a crash is an error of the model, not of this process.

        Raises:
            ModelError: the process died.
            ChildTimeoutError: it did not finish in time.
            EdgeError: the one that the function raised.
        """
        if environment not in self._workers:
            self._workers[environment] = _start(environment, self._memory_bytes)
        try:
            return self._workers[environment].call(
                function,
                timeout_s=self._timeout_s,
                on_progress=lambda told: self.tell(str(told["step"])),
                **arguments,
            )
        except ChildTimeoutError as error:
            raise ChildTimeoutError(
                f"{self._what}: conversion did not finish",
                expected=error.expected,
                remedy="give more with --timeout",
            ) from error
        except ChildError as error:
            raise ModelError(
                f"{self._what}: the converter died",
                found=error.found,
                remedy="take --recipe float32 or weight_int8",
            ) from error

    def save(self, name: str, values: Sequence[NDArray[Any]]) -> Path:
        """Write arrays as an .npz, for a function that reads them with `arrays.read`."""
        path = self.folder / f"{name}.npz"
        arrays.write(str(path), values)
        return path

    def close(self) -> None:
        """End the processes and remove the folder."""
        for worker in self._workers.values():
            worker.close()
        self._workers = {}
        self._folder.cleanup()


def _start(environment: str | None, memory_bytes: int | None) -> Worker:
    if environment is None:
        return Worker(memory_bytes=memory_bytes)
    from converters import environments  # only models from other frameworks need another interpreter

    return environments.worker(environment, memory_bytes=memory_bytes)
