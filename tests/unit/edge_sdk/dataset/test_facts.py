from __future__ import annotations

from pathlib import Path

import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate_hz = 20", "rate_hz = -1", "rate_hz: expected a positive rate"),
        ("rate_hz = 20", "rate_hz = true", "rate_hz: expected a number"),
        ("rate_hz = 20", "rate_hz = inf", "rate_hz: expected a positive rate"),
        ("rate_hz = 20", "rate = 20", "unknown key 'rate'.*did you mean 'rate_hz'"),
        ('task = "classification"', 'task = "magic"', "task: expected one of classification"),
        ('labels = ["rest", "shake"]', 'labels = ["rest", "rest"]', "labels: expected unlike names"),
        ('labels = ["rest", "shake"]', "labels = [1]", "labels: expected a list of names"),
        (
            'labels = ["rest", "shake"]',
            'labels = ["rest"]',
            "unknown label: expected one of rest, found 'shake'",
        ),
        ('name = "ay"', 'name = "ax"', "channels: expected unlike names"),
        ('name = "ay", unit = "g"', 'name = "ay", range = [2, -2]', "range of 'ay'"),
        ('name = "ay", unit = "g"', 'unit = "g"', "channels: expected"),
        ("channels = [", "channels = 3\nlabels = [", "cannot be read|channels"),
        ('name = "motion"', "name = [", "cannot be read: expected TOML"),
        ('group = "person"', "group = 4", "group: expected text"),
    ],
)
def test_a_wrong_dataset_toml_names_key_and_fault(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "dataset.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.load(folder)
    assert "\n" not in str(caught.value)
