"""The README's and the tutorial's commands, run as a newcomer would, one after the other."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model
from tests.integration.serial_sensor import serial_sensor

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def blocks(document, language, start="", end=None):
    text = (ROOT / document).read_text()
    text = text[text.index(start) : text.index(end) if end else None]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell(script, folder):
    """A block of commands in bash, with `edgeml` on the path as the documents say."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    finished = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / ".cache")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert finished.returncode == 0, f"{script}\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
    return finished


@pytest.fixture(scope="module")
def own_data(demo, tmp_path_factory):
    """Somebody's recordings, <label>/<person>_<n>.csv: half of the demo's, renamed."""
    folder = tmp_path_factory.mktemp("own")
    for source in (demo.folder / "dataset" / "recordings").glob("*/*_right.csv"):
        label = "walk" if source.parent.name == "ROW" else source.parent.name
        person = "anna" if source.name.startswith("s01") else source.name.split("_")[0]
        target = folder / "recordings" / label / f"{person}_1.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return folder


def test_the_readme_on_a_microcontroller(demo):
    (block,) = blocks("README.md", "sh", "## On a microcontroller", "## Onto a device")
    assert len(block.splitlines()) == 2
    said = shell(block, demo.folder.parent).stdout
    assert "8 of 8 cases the same bits" in said


def test_the_readme_on_ones_own_data(own_data):
    commands = blocks("README.md", "sh", "## On your own data", "## On the device")
    assert len(commands) == 2
    for block in commands:
        # A newcomer's gate may fail on so little data, and rightly; the commands are what is tested here.
        shell(block.replace("--max-drop 1pt", "--max-drop 5pt"), own_data)
    assert (own_data / "motion.tflite").exists()
    assert (own_data / "events.db").exists()


def test_the_readme_in_python(own_data, monkeypatch):
    monkeypatch.chdir(own_data)
    (block,) = blocks("README.md", "python", "## On the device", "## What there is")
    endless, pipeline = block.split("report = ")
    window = np.zeros(Model.load("motion.tflite").input_shape, np.float32)
    printed = []

    class EnoughError(Exception):
        pass

    def show(*words):
        printed.append(words)
        if len(printed) == 4:
            raise EnoughError

    with serial_sensor(lambda i: np.zeros(6), 400.0) as sensor:
        namespace = {"window": window, "print": show}
        with pytest.raises(EnoughError):
            exec(endless.replace("/dev/ttyACM0", sensor.path), namespace)
        script = pipeline.replace("/dev/ttyACM0", sensor.path).replace("duration_s=60", "duration_s=2")
        namespace["print"] = printed.append
        exec(f"report = {script}", namespace)
    assert namespace["report"].ledger.delivered > 0


def test_the_tutorial(demo, tmp_path):
    (tmp_path / "edgeml-demo").symlink_to(demo.folder)
    (toml,) = blocks("docs/tutorial.md", "toml")
    (tmp_path / "edgeml.toml").write_text(toml)
    outputs = [shell(block, tmp_path) for block in blocks("docs/tutorial.md", "sh")]
    assert len(outputs) == 5
    assert "balanced" in outputs[-1].stderr + outputs[-1].stdout
    (code,) = blocks("docs/tutorial.md", "python")
    script = tmp_path / "tutorial.py"
    script.write_text(code)
    finished = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert "starts with" in finished.stdout
