"""The examples of the documents on conversion."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edge_sdk import read_contract
from tests.integration.converters.convert.trained import Trained

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]


def test_the_examples_of_the_documents_run(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained.file, tmp_path / "motion.keras")
    monkeypatch.chdir(tmp_path)
    docs = Path(__file__).parents[4] / "docs"
    for name in ("conversion.md", "contract.md"):
        for code in re.findall(
            r"^```python\n(.*?)^```", (docs / name).read_text(encoding="utf-8"), re.M | re.S
        ):
            if "import torch" not in code:  # that one runs in test_load_torch's environment
                exec(compile(code, name, "exec"), {})
    accuracy, described, labels = capsys.readouterr().out.splitlines()
    assert float(accuracy.split()[0]) > 0.95
    assert described.startswith("40 ('ax', 'ay',")
    assert labels == str(read_contract("motion.tflite").output.labels)
