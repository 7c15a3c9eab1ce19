"""The small model, loaded: here, and as one that a source runs."""

import pytest

from edge_sdk import Model
from edge_sdk.windows import cut
from tests.unit.edge_sdk.pipelines import NUMBERS


@pytest.fixture(scope="module")
def model(linear_file):
    with Model.load(linear_file) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def firmware(linear_file):
    """The model in firmware, which infers by itself."""
    with Model.load(linear_file, target="source:") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def said(model):
    """What the model says about the windows of NUMBERS, at the times of a recording that begins at 100 s."""
    windows = cut(NUMBERS, model.window, model.hop)
    return [
        (model.run(window).outputs, 100 + (model.window - 1 + nth * model.hop) / 50)
        for nth, window in enumerate(windows)
    ]
