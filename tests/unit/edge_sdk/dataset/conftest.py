"""A dataset folder to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.folders import motion


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    motion(tmp_path / "data")
    return tmp_path / "data"
