"""Fixtures for pages in a real browser: a plug-in of the test modules that have `files`, pages by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages import Viewer, browsing


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium."""
    with browsing() as chromium:
        yield chromium


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Viewer]:
    """Opens the pages of a module; they may not complain."""
    viewer = Viewer(browser, files)
    yield viewer
    viewer.close()
