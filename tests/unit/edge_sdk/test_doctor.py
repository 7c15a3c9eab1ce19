"""The doctor finds what other packages keep in environments of their own, and has them installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEEPER = """
ENVIRONMENTS = {"ready": 1, "absent": 2, "old": 3}
STATES = {"ready": ("ok", "all"), "absent": ("missing", "nothing"), "old": ("outdated", "has thing==1")}

def examine(name):
    return STATES[name]

def remedy(name):
    return f"edgeml doctor --install {name}"

def install(name, on_progress):
    on_progress(f"installing {name}")
    STATES[name] = ("ok", "just installed")
"""


@pytest.fixture
def doctor(tmp_path):
    """The doctor of an installation in which a package keeps three environments."""
    (tmp_path / "keeper.py").write_text(KEEPER)
    facts = tmp_path / "keeper-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: keeper\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[edgeml.environments]\nkept = keeper\n")

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "edge_sdk", "doctor", *words],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        )

    return run


def loaders(finished):
    findings = json.loads(finished.stdout)["findings"]
    return {finding["part"]: finding for finding in findings if finding["part"].startswith("loader ")}


def test_each_environment_has_its_state_and_its_remedy(doctor):
    found = loaders(doctor("--json"))
    states = {name: found[f"loader {name}"]["state"] for name in ("ready", "absent", "old")}
    assert states == {"ready": "ok", "absent": "missing", "old": "outdated"}
    assert found["loader ready"]["remedy"] is None
    assert "edgeml doctor --install absent" in found["loader absent"]["remedy"]
    assert found["loader old"]["found"] == "has thing==1"


def test_the_table_names_them(doctor):
    shown = doctor().stdout
    assert "outdated  loader old" in shown
    assert "edgeml doctor --install old" in shown


def test_one_is_installed_with_progress_on_standard_error(doctor):
    finished = doctor("--install", "absent", "--json")
    assert finished.returncode == 0
    assert finished.stderr == "installing absent\n"
    assert loaders(finished)["loader absent"]["found"] == "just installed"


def test_an_unknown_one_is_an_error_with_the_nearest(doctor):
    finished = doctor("--install", "absnt")
    assert finished.returncode == 2
    assert "did you mean 'absent'" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_an_extra_whose_package_lies_in_an_absent_one_is_missing(doctor):
    findings = json.loads(doctor("--json").stdout)["findings"]
    extras = {finding["part"]: finding for finding in findings if finding["part"].startswith("extra ")}
    named = "train convert ethos demo image mqtt postgres notify i2c gpio view"
    assert set(extras) == {f"extra {name}" for name in named.split()}
    for finding in extras.values():
        assert (finding["state"] == "ok") == (finding["remedy"] is None)
