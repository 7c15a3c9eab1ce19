"""What docs/pipeline.md says of ``mcu:`` and of firmware that infers by itself."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_sdk import registry
from edge_sdk.config import Config
from edge_sdk.pipeline import Pipeline
from edge_sdk.plugins import options_of
from tests.board import FIRMWARE, INCLUDES, STRICT
from tests.models import write_model

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("### Firmware that infers by itself")[2].partition("\n### ")[0]


def test_every_option_stands_in_the_reference():
    plugin = registry.find("sources", "mcu")
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `mcu:PORT`")]
    for option in options_of(plugin):
        assert f"`{option}`" in row, option
        assert f"{option}:" in plugin.__doc__, option


@pytest.mark.parametrize("toml", re.findall(r"^```toml\n(.*?)^```", SECTION, re.M | re.S))
def test_its_examples_need_no_runtime(toml, tmp_path):
    write_model(tmp_path / "motion.tflite")
    preview = Pipeline.from_config(Config.parse(toml, folder=tmp_path)).preview()
    assert preview["model"]["runtime"] == "firmware"
    assert len(preview["model"]["labels"]) > 1


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc")
def test_its_program_compiles(tmp_path):
    (program,) = re.findall(r"^```c\n(.*?)^```", SECTION, re.M | re.S)
    (tmp_path / "main.c").write_text(program)
    command = ["gcc", *STRICT, *INCLUDES, "-I", FIRMWARE / "app", "-c", "main.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
