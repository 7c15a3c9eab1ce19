"""Environments are installed whole or not at all, by a real pip that finds its packages in a folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from converters import environments
from converters.environments import Environment
from edge_sdk.errors import DeviceError

pytestmark = pytest.mark.integration

VERSION = f"3.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEML_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that pip finds its packages in, and nowhere else: one small package."""
    place = tmp_path / "wheels"
    place.mkdir()
    write_wheel(place, "no_such_thing_elsewhere", "1.0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


def write_wheel(place, name, version):
    import zipfile

    facts = f"{name}-{version}.dist-info"
    members = {
        f"{name}.py": "HELLO = 'hello'\n",
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{facts}/RECORD": "",
    }
    with zipfile.ZipFile(place / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)


def declare(monkeypatch, *requirements, packages=("no_such_thing_elsewhere",), version=VERSION):
    made = Environment("small", "small models", packages, {version: requirements}, "1 kB")
    monkeypatch.setitem(environments.ENVIRONMENTS, "small", made)


def write_marker(place, requirements):
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    (place / "edgeml.json").write_text(json.dumps({"requirements": requirements, "python": VERSION}))


def test_installing_makes_it_usable_and_is_quick_the_second_time(folder, monkeypatch, wheels):
    declare(monkeypatch, "no_such_thing_elsewhere==1.0")
    told = []
    python = environments.install("small", told.append)
    assert python == str(folder / "small" / "bin" / "python")
    done = subprocess.run(
        [python, "-I", "-c", "import no_such_thing_elsewhere as it; print(it.HELLO)"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "hello\n"
    assert any("no_such_thing_elsewhere==1.0" in line for line in told)
    assert environments.examine("small")[0] == "ok"
    assert [each.name for each in folder.iterdir() if each.is_dir()] == ["small"]
    shutil.rmtree(wheels)
    assert environments.install("small", told.append) == python


def test_a_failed_installation_is_one_line_and_leaves_the_old_one_as_it_was(folder, monkeypatch, wheels):
    declare(monkeypatch, "no_such_thing_elsewhere==3.0")
    write_marker(folder / "small", ["no_such_thing_elsewhere==1.0"])
    with pytest.raises(
        DeviceError, match=r"No matching distribution found for no.such.thing.elsewhere==3\.0"
    ) as raised:
        environments.install("small", lambda line: None)
    assert "\n" not in str(raised.value)
    assert environments.examine("small") == ("outdated", "has no_such_thing_elsewhere==1.0")
    assert [each.name for each in folder.iterdir() if each.is_dir()] == ["small"]


def test_packages_that_do_not_work_are_no_installation(folder, monkeypatch, wheels):
    declare(monkeypatch, "no_such_thing_elsewhere==1.0", packages=("no_such_thing_elsewhere", "another"))
    with pytest.raises(DeviceError, match="No module named 'another'"):
        environments.install("small", lambda line: None)
    assert environments.examine("small")[0] == "missing"


def test_an_outdated_environment_is_replaced_and_leftovers_are_swept(folder, monkeypatch, wheels):
    declare(monkeypatch, "no_such_thing_elsewhere==1.0")
    write_marker(folder / "small", ["no_such_thing_elsewhere==0.9"])
    (folder / ".small-abandoned").mkdir()
    environments.install("small", lambda line: None)
    assert environments.examine("small")[0] == "ok"
    assert [each.name for each in folder.iterdir() if each.is_dir()] == ["small"]


def test_a_worker_runs_in_the_environment(folder, monkeypatch, wheels):
    declare(monkeypatch, "no_such_thing_elsewhere==1.0")
    environments.install("small", lambda line: None)
    with environments.worker("small", ["tests"]) as worker:
        seen = worker.call("tests.unit.edge_sdk.elsewhere:prefix", timeout_s=60)
    assert Path(seen) == folder / "small"
