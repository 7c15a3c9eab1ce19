"""What users copy into their firmware's CI runs as it stands, and so does the test in the documents."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hil import files

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("unicorn") is None, reason="needs: pip install 'edgeml-kit[firmware]'"
    ),
]
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "firmware-ci"
TARGET = "virtual:cortex-m4"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A firmware repository with the example in it, the test of the documents, and a model for both."""
    folder = tmp_path_factory.mktemp("firmware")
    for file in EXAMPLE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (documented,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "hil.md").read_text(), re.M | re.S)
    (folder / "test_documented.py").write_text(documented)
    files.motion(folder / "motion.tflite")
    return folder


def steps(job):
    """The commands of a job of the workflow."""
    text = (EXAMPLE / "hil.yml").read_text()
    part = text.split(f"\n  {job}:\n")[1].split("\n\n")[0]
    return re.findall(r"- run: (.+)", part)


def run(project, command):
    program, *arguments = command.split()
    modules = {"pytest": ["pytest", "-p", "no:cacheprovider"], "edgeml": ["edge_sdk"]}
    return subprocess.run(
        [sys.executable, "-m", *modules[program], *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_workflow_passes_on_a_virtual_board(project):
    commands = [
        command.replace("${{ matrix.target }}", TARGET)
        for command in steps("emulated")
        if command.startswith(("pytest", "edgeml"))
    ]
    tests, gates = (run(project, command) for command in commands)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "6 passed" in tests.stdout
    assert gates.returncode == 0, gates.stdout + gates.stderr
    assert (project / "tests.xml").is_file()
    assert (project / "hil.xml").is_file()


def test_a_budget_that_is_not_kept_fails_the_build(project):
    done = run(project, f"edgeml hil motion.tflite --target {TARGET} --max-arena 100")
    assert done.returncode == 1
    assert re.search(r"at most 100 bytes, found arena_bytes: \d,\d+\n", done.stderr)


def test_the_two_jobs_differ_in_their_target_and_their_clock(project):
    assert "--max-latency-us" in "".join(steps("desk"))
    assert "serial:///dev/ttyACM0" in "".join(steps("desk"))
