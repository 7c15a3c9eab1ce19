"""The models that are tried on every target."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hil import files


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where model files are written, each when it is first asked for."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def model_file(request: pytest.FixtureRequest, models: Path) -> Path:
    """The file of the model that a test is parametrized over; else one with a contract and golden vectors."""
    name = getattr(request, "param", "motion")
    path = models / f"{name}.tflite"
    if not path.exists():
        if name == "motion":
            return files.motion(path)
        public = request.getfixturevalue("public_data") if name in files.PUBLIC else None
        path.write_bytes(files.flatbuffer(name, public))
    return path
