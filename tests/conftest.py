"""Fixtures for every tier."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.models import Linear, write_model

# Machines stall; how long an example took says nothing about it.
settings.register_profile("edgeml", deadline=None)
settings.load_profile("edgeml")


#: Files that take the longest. They are begun first, or one would be left alone at the end.
LONG = (
    *("test_train_distribute", "test_soak", "test_demo", "test_readme", "test_tune", "test_train_resume"),
    *("test_architectures", "test_train", "test_keyword_spotting", "test_qat", "test_folds"),
    *("test_train_tasks", "test_train_challenge", "test_way_lost", "test_architectures_own"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the files."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Verdicts of these tests stay out of the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def linear() -> Linear:
    """The facts of `linear_file`."""
    return Linear()


@pytest.fixture(scope="session")
def linear_file(tmp_path_factory: pytest.TempPathFactory, linear: Linear) -> Path:
    """A small .tflite with its contract, built without TensorFlow; read-only."""
    return write_model(tmp_path_factory.mktemp("model") / "linear.tflite", linear)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Public models and recordings that lie beside the checkout; absent on most machines."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the public data sets in ../shared/data")
    return folder
