"""The agent runs where nothing but Python is."""

import ast
import importlib.util
import json
import subprocess
import sys
import zipfile

import pytest

from edge_sdk import errors
from edge_sdk.deploy.archive import MODULES, archive


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    file = tmp_path_factory.mktemp("agent") / "agent.pyz"
    file.write_bytes(archive())
    return file


def test_the_same_sources_give_the_same_bytes():
    assert archive() == archive()


def test_it_needs_the_standard_library_only(agent):
    names = [f"edge_sdk.{name.replace('/', '.').removesuffix('.__init__')}" for name in MODULES]
    code = (
        f"import sys; sys.path.insert(0, {str(agent)!r})\n"
        f"for name in {names!r}: __import__(name)\n"
        "print(*(name for name in sys.modules if name.split('.')[0] not in sys.stdlib_module_names))"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    found = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert {name.partition(".")[0] for name in found - {"__main__"}} == {"edge_sdk"}
    assert set(names) <= found


@pytest.mark.parametrize(("same", "taken"), [(True, ".pyc"), (False, ".py")])
def test_byte_code_of_another_python_is_passed_over(agent, tmp_path, same, taken):
    file = tmp_path / "agent.pyz"
    with zipfile.ZipFile(agent) as packed, zipfile.ZipFile(file, "w") as other:
        for name in packed.namelist():
            data = packed.read(name)
            if name.endswith("c") and not same:
                data = data.replace(importlib.util.MAGIC_NUMBER, b"\1\2\r\n")
            other.writestr(name, data)
    code = f"import sys; sys.path.insert(0, {str(file)!r}); from edge_sdk.deploy import agent, slots; "
    code += "print(slots.__file__); sys.exit(agent.main(['facts']))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, input=b""
    )
    where, told = done.stdout.splitlines()
    assert where.decode() == f"{file}/edge_sdk/deploy/slots{taken}"
    assert "result" in json.loads(told)


def test_an_old_python_is_told_what_it_lacks(agent):
    with zipfile.ZipFile(agent) as packed:
        ast.parse(packed.read("__main__.py"), feature_version=(3, 7))
    code = "import runpy, sys; sys.version_info = (3, 9, 2); "
    code += f"runpy.run_path({str(agent)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=False)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    error = getattr(errors, told["kind"]).rebuilt(told["error"])
    assert str(error).startswith("this device's Python is too old: expected 3.11 or newer, found 3.9")


@pytest.mark.parametrize(
    ("words", "given", "status", "said"),
    [
        (["facts"], b"", 0, None),
        (["nonsense"], b"", 2, "no command"),
        (["_told", "x"], b"", 2, "no command"),
        (["status", "press-7"], b"", 2, "no pipeline 'press-7'"),
        (["needed", "press-7"], b'{"manifest": "e30="}', 2, "schema"),
        (["needed", "press-7"], b"{", 3, "the agent failed"),
        (["needed", "press-7"], b"[1]", 3, "the agent failed"),
        (["needed", "press-7"], b'{"other": 1}', 3, "the agent failed"),
        (["needed", "press-7"], b'{"manifest": "e30"}', 3, "the agent failed"),
    ],
    ids=str,
)
def test_it_answers_in_one_line_of_json(agent, words, given, status, said):
    done = subprocess.run(
        [sys.executable, "-I", "-S", agent, *words], input=given, capture_output=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert not done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    if said is None:
        assert told["result"]["python"] == "{}.{}".format(*sys.version_info)
    else:
        assert said in told["error"]["error"]
