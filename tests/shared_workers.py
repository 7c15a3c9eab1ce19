"""Child processes that outlive the conversions in them: starting TensorFlow takes longer than converting."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from converters import environments, workshop
from edge_sdk.child import Worker
from edge_sdk.errors import ChildError


class Shared(Worker):
    """A worker that is not closed by what uses it."""

    def close(self) -> None:
        """The conversion is over, the process is used again."""

    def end(self) -> None:
        super().close()

    def call(self, function: str, /, **options: object) -> object:  # type: ignore[override]
        try:
            return super().call(function, **options)  # type: ignore[arg-type]
        except ChildError:
            super().close()
            raise

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid


def started(environment: str | None, memory_bytes: int | None = None) -> Shared:
    """One in the interpreter of an environment; None is this one."""
    python = environments.python(environment) if environment else sys.executable
    elsewhere = None if python == sys.executable else python
    return Shared(elsewhere, ["converters"], memory_bytes=memory_bytes)


@contextmanager
def kept() -> Iterator[None]:
    """Conversions use the same processes, one an environment and working folder, which end here."""
    workers: dict[tuple[str | None, Path], Shared] = {}

    def start(environment: str | None, memory_bytes: int | None) -> Shared:
        place = environment, Path.cwd()
        if place not in workers:
            workers[place] = started(environment)
        return workers[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop, "_start", start)
        yield
    for worker in workers.values():
        worker.end()
