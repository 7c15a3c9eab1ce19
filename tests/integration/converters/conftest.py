"""Two processes share these tests: what belongs to one model, or else to one module, stays together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import workshop
from tests.shared_workers import Shared, started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def kept_workers() -> Iterator[None]:
    """The conversions of a module use the same processes, one an environment."""
    workers: dict[str | None, Shared] = {}

    def start(environment: str | None, memory_bytes: int | None) -> Shared:
        if environment not in workers:
            workers[environment] = started(environment)
        return workers[environment]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop, "_start", start)
        yield
    for worker in workers.values():
        worker.end()
