"""What the fault tests share: one recording with its predictions, one database server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.faults.oracle import Story
from tests.integration.postgres import Server, running_server


@pytest.fixture(scope="package")
def story(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="package")
def database() -> Iterator[Server]:
    with running_server() as server:
        yield server
