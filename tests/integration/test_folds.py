"""Cross-validation in processes side by side, each fold's model converted and judged as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.folders import motion
from train_host.config import Config
from train_host.training import Request, train

pytestmark = pytest.mark.integration
pytest.importorskip("tensorflow", reason="pip install 'edgeml-kit[train]'")


def test_folds_side_by_side_with_their_conversions(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=4)
    config = Config(epochs=8, batch=8, learning_rate=0.01, validation=0.0, model={"filters": [8, 8, 8]})
    heard: list[dict[str, Any]] = []
    request = Request(dataset.folder, config, folds=2, recipe="int8", workers=2)
    found = train(request, heard.append)
    folds = found["folds"]
    assert sorted(group for each in folds["each"] for group in each["test"]) == ["p0", "p1", "p2", "p3"]
    assert found["n"] == sum(each["n"] for each in folds["each"]) > 0
    assert (
        folds["mean"]
        == found["accuracy"]
        == pytest.approx(sum(each["accuracy"] for each in folds["each"]) / 2)
    )
    assert folds["mean"] > 0.8
    converted = folds["converted"]
    assert converted["drop"] == pytest.approx(folds["mean"] - converted["mean"])
    low, high = converted["drop_interval"]
    assert low <= converted["drop"] <= high
    assert all(each["converted"]["agreement"] > 0.8 for each in folds["each"])
    assert {facts["fold"] for facts in heard} == {1, 2}
    assert any(facts.get("epoch") == 8 for facts in heard)
    assert found["model"] is None
    assert not list(tmp_path.glob("*.keras"))
