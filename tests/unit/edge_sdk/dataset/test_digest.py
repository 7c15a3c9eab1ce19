from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_sdk.dataset import Dataset


def test_the_digest_follows_the_content_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    digest = Dataset.load(folder).digest
    assert digest.startswith("sha256:")
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert Dataset.load(tmp_path / "elsewhere").digest == digest

    path = tmp_path / "elsewhere" / "recordings/rest/p0_1.csv"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    assert Dataset.load(tmp_path / "elsewhere").digest != digest


@pytest.mark.parametrize(
    "change",
    [
        lambda d: (d / "recordings/rest/p0_1.csv").rename(d / "recordings/shake/p0_9.csv"),
        lambda d: (d / "recordings/rest/p0_1.csv").unlink(),
        lambda d: (d / "dataset.toml").write_text((d / "dataset.toml").read_text().replace("20", "20.5")),
        lambda d: (d / "dataset.toml").write_text((d / "dataset.toml").read_text().replace('"g"', '"m/s2"')),
    ],
)
def test_labels_files_rate_and_units_are_part_of_the_digest(folder: Path, change: object) -> None:
    before = Dataset.load(folder).digest
    change(folder)  # type: ignore[operator]
    assert Dataset.load(folder).digest != before
