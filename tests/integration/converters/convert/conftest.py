"""One trained model for all tests of this folder; TensorFlow runs in child processes only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from converters import convert
from converters.report import Report
from edge_sdk.child import Worker
from tests import mixed_units
from tests.integration.converters.convert.trained import TIMEOUT_S, Trained
from tests.shared_workers import kept


@pytest.fixture(scope="package")
def kept_workers() -> Iterator[None]:
    """The conversions of this folder use the same processes."""
    with kept():
        yield


@pytest.fixture(scope="package")
def tensorflow() -> Iterator[Worker]:
    """One process with TensorFlow for all that is not converted through the command."""
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory, tensorflow: Worker) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = mixed_units.write_dataset(folder / "data")
    file, folded = folder / "mixed.keras", folder / "folded.keras"
    tensorflow.call("tests.mixed_units:train", timeout_s=TIMEOUT_S, file=str(file), folder=str(data.folder))
    tensorflow.call(
        "tests.mixed_units:fold_normalisation", timeout_s=TIMEOUT_S, file=str(file), target=str(folded)
    )
    foreign = mixed_units.without_members(file, folder / "foreign.keras")
    test = data.windows(data.split(7).test, mixed_units.WINDOW, mixed_units.HOP)
    return Trained(file, folded, foreign, data, test.x, test.y)


@pytest.fixture(scope="package")
def result(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The model as int8."""
    return convert(trained.file, tmp_path_factory.mktemp("int8") / "mixed.tflite")
