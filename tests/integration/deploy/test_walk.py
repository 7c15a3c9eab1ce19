"""A newcomer's walk through docs/raspberry-pi.md, line by line, with a machine in place of the Pi."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
WALK = (Path(__file__).parents[3] / "docs" / "raspberry-pi.md").read_text()
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def first_time(machine):
    """The device has never trusted anybody."""
    machine.ask("cd /etc/edgeml 2>/dev/null && mv trusted_signers before || true")
    yield
    machine.ask("cd /etc/edgeml && rm -f trusted_signers && [ ! -e before ] || mv before trusted_signers")


@pytest.mark.usefixtures("first_time")
def test_the_walk(desk):
    desk.config.write_text(re.findall(r"^```toml\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)[0])
    (desk.folder / "m.tflite").rename(desk.folder / "model.tflite")
    said = {}
    for line in LINES:
        words = shlex.split(line)
        assert words[0] == "edgeml"
        if words[1] == "deploy":
            words += ["--window", str(desk.machine.least_window_s)]  # the whole one is waited for elsewhere
        done = subprocess.run(
            [sys.executable, "-m", "edge_sdk", *words[1:]],
            cwd=desk.folder,
            env={**desk.environment(), "XDG_CONFIG_HOME": os.fspath(desk.folder.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        said.setdefault(words[1], []).append(done.stdout + done.stderr)
    assert "made a key that signs releases" in said["deploy"][1]
    assert "it works" in said["deploy"][2]
    assert "active" in said["status"][0]
    assert "runs" in said["rollback"][0]
    assert (desk.folder / "results" / "events.db").exists()
    assert "its results are in /var/lib/edgeml-press-7" in said["remove"][0]
