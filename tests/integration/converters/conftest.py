"""Two processes share these tests: what belongs to one model, or else to one module, stays together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.shared_workers import kept

_OF_THE_ZOO = {"test_zoo", "test_matrix", "test_public_sets"}
_OF_ONE_MODEL = "convert"


class ByModel(LoadScopeScheduling):  # type: ignore[misc]
    """One process runs what belongs to one model: a case of the zoo, or all of convert/; else a module."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        model = re.search(r"\[(.+)\]$", test)
        if model and Path(module).stem in _OF_THE_ZOO:
            return model[1]
        return str(Path(module).parent) if Path(module).parent.name == _OF_ONE_MODEL else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModel:
    return ByModel(config, log)


@pytest.fixture(scope="module")
def kept_workers() -> Iterator[None]:
    """The conversions of a module use the same processes."""
    with kept():
        yield
