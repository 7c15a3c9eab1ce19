"""Two processes share these tests: what belongs to one model, or else to one module, stays together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from converters import workshop
from tests.shared_workers import Shared, started

_OF_THE_ZOO = {"test_zoo", "test_matrix", "test_public_sets"}


class ByModel(LoadScopeScheduling):  # type: ignore[misc]
    """What belongs to one model of the zoo is built and run in one process; else a module is one."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        model = re.search(r"\[(.+)\]$", test)
        return model[1] if model and Path(module).stem in _OF_THE_ZOO else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModel:
    return ByModel(config, log)


@pytest.fixture(scope="module")
def kept_workers() -> Iterator[None]:
    """The conversions of a module use the same processes, one an environment and working folder."""
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
