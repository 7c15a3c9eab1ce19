"""Environments are found and told apart; tests/integration installs them with a real pip."""

import json
import stat
import sys
from pathlib import Path

import pytest

from converters import environments, installation
from converters.environments import Environment
from edge_sdk.errors import DeviceError, MissingExtraError, UnknownNameError

VERSION = f"3.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEML_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


def declare(monkeypatch, *requirements, packages=("no_such_thing_elsewhere",), version=VERSION):
    made = Environment("small", "small models", packages, {version: requirements}, "1 kB")
    monkeypatch.setitem(environments.ENVIRONMENTS, "small", made)


def test_the_loaders_name_environments_that_there_are():
    from converters.load import LOADERS

    for loader in LOADERS.values():
        assert loader.environment is None or environments.find(loader.environment)


def test_an_absent_environment_is_an_error_with_the_command(folder):
    with pytest.raises(MissingExtraError, match="edgeml doctor --install onnx"):
        environments.python("onnx")
    assert environments.examine("onnx")[0] == "missing"
    assert not folder.exists()


def test_an_unknown_environment_is_an_error_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'onnx'"):
        environments.python("onx")


def test_where_the_packages_are_importable_that_interpreter_is_taken(monkeypatch):
    declare(monkeypatch, "anything", packages=("json", "email"))
    assert environments.python("small") == sys.executable
    with environments.worker("small") as worker:
        assert worker.call("os:getcwd", timeout_s=30) == str(Path.cwd())


def test_the_default_place_is_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("EDGEML_ENVIRONMENTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    declare(monkeypatch, "anything")
    write_marker(tmp_path / "edgeml" / "environments" / "small", ["anything"])
    assert environments.python("small") == str(tmp_path / "edgeml/environments/small/bin/python")


def write_marker(place, requirements):
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    (place / "edgeml.json").write_text(json.dumps({"requirements": requirements, "python": VERSION}))


def test_an_environment_of_other_versions_is_outdated(folder, monkeypatch):
    declare(monkeypatch, "thing==2")
    write_marker(folder / "small", ["thing==1"])
    assert environments.examine("small") == ("outdated", "has thing==1")
    with pytest.raises(MissingExtraError, match="it has thing==1"):
        environments.python("small")


def test_an_environment_whose_python_is_gone_is_outdated(folder, monkeypatch):
    declare(monkeypatch, "thing==1")
    write_marker(folder / "small", ["thing==1"])
    (folder / "small" / "bin" / "python").unlink()
    assert environments.examine("small")[0] == "outdated"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"python": "3.12"}', '{"requirements": 3, "python": ""}'])
def test_a_damaged_marker_means_that_nothing_is_installed(folder, monkeypatch, text):
    declare(monkeypatch, "thing==1")
    write_marker(folder / "small", ["thing==1"])
    (folder / "small" / "edgeml.json").write_text(text)
    assert environments.examine("small")[0] == "missing"


def test_without_a_suitable_python_the_error_says_which(monkeypatch):
    declare(monkeypatch, "thing", version="3.99")
    with pytest.raises(MissingExtraError, match=r"needs Python 3\.99.*install python3\.99"):
        environments.install("small", lambda line: None)


def test_another_python_on_the_path_is_found_and_a_stand_in_that_fails_is_not(tmp_path, monkeypatch):
    shims, real = tmp_path / "shims", tmp_path / "versions" / "3.99.1" / "bin"
    for place, text in ((shims, "echo nothing >&2; exit 127"), (real, "echo 3.99")):
        place.mkdir(parents=True)
        file = place / "python3.99"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(shims))
    declare(monkeypatch, "thing", version="3.99")
    assert installation._suitable(environments.find("small")) == (str(real / "python3.99"), "3.99")


def test_a_folder_that_cannot_be_written_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEML_ENVIRONMENTS", str(tmp_path / "file" / "below"))
    declare(monkeypatch, "thing")
    with pytest.raises(DeviceError, match="EDGEML_ENVIRONMENTS"):
        environments.install("small", lambda line: None)
