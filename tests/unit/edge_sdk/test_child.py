"""What happens in a child process stays there: crashes, hangs, prints and errors come back as data."""

import os
import signal
import sys
import tempfile
import time
import venv
from pathlib import Path

import click
import numpy as np
import pytest

import edge_sdk
from edge_sdk import child
from edge_sdk.errors import ChildError, ChildTimeoutError, GateError, UnknownNameError

HERE = "tests.unit.edge_sdk.test_child"
ELSEWHERE = "tests.unit.edge_sdk.elsewhere"


def add(a, b):
    print("noise on standard output")
    return {"sum": a + b, "pid": os.getpid()}


def die(number):
    print("last words", flush=True)
    os.kill(os.getpid(), number)


def leave():
    os._exit(7)


def hang():
    time.sleep(600)


def gate():
    raise GateError("worse", expected="at most 1", found=2, remedy="train longer")


def unknown():
    raise UnknownNameError("recipe", "int9", ["int8"])


def bug():
    return {}["missing"]


def steps():
    for done in range(3):
        child.progress(done=done)
    return "done"


def test_a_result_comes_back_whatever_is_printed():
    answer = child.call(f"{HERE}:add", timeout_s=30, a=2, b=3)
    assert answer["sum"] == 5
    assert answer["pid"] != os.getpid()


def test_a_worker_serves_several_calls_in_one_process():
    with child.Worker() as worker:
        pids = {worker.call(f"{HERE}:add", timeout_s=30, a=1, b=i)["pid"] for i in range(3)}
    assert len(pids) == 1


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_an_error_with_its_signal_and_last_words(number):
    with pytest.raises(ChildError, match=f"{number.name} after: last words"):
        child.call(f"{HERE}:die", timeout_s=30, number=int(number))


def test_an_early_exit_is_an_error():
    with pytest.raises(ChildError, match="exit status 7"):
        child.call(f"{HERE}:leave", timeout_s=30)


def test_a_hang_is_killed_in_time():
    started = time.monotonic()
    with pytest.raises(ChildTimeoutError, match="within 1 s"):
        child.call(f"{HERE}:hang", timeout_s=1)
    assert time.monotonic() - started < 5


def test_one_that_takes_no_request_is_killed_in_time():
    with child.Worker() as worker:
        pid = worker.call(f"{HERE}:add", timeout_s=30, a=0, b=0)["pid"]
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ChildTimeoutError, match="within 1 s"):
            worker.call(f"{HERE}:add", timeout_s=1, a="x" * (1 << 20), b="")


def test_a_worker_goes_on_after_a_crash():
    with child.Worker() as worker:
        with pytest.raises(ChildError):
            worker.call(f"{HERE}:die", timeout_s=30, number=int(signal.SIGKILL))
        assert worker.call(f"{HERE}:add", timeout_s=30, a=1, b=1)["sum"] == 2


def test_errors_of_edgeml_keep_their_class_and_facts():
    with pytest.raises(GateError) as raised:
        child.call(f"{HERE}:gate", timeout_s=30)
    assert raised.value.as_dict() == {
        "error": "worse",
        "expected": "at most 1",
        "found": "2",
        "remedy": "train longer",
    }
    with pytest.raises(UnknownNameError, match="did you mean 'int8'"):
        child.call(f"{HERE}:unknown", timeout_s=30)


def test_a_bug_is_reported_in_one_line():
    with pytest.raises(ChildError, match="KeyError") as raised:
        child.call(f"{HERE}:bug", timeout_s=30)
    assert "\n" not in str(raised.value)


def test_progress_arrives_in_order():
    seen = []
    assert child.call(f"{HERE}:steps", timeout_s=30, on_progress=seen.append) == "done"
    assert seen == [{"done": 0}, {"done": 1}, {"done": 2}]


def test_no_process_is_left_behind():
    with child.Worker() as worker:
        pid = worker.call(f"{HERE}:add", timeout_s=30, a=0, b=0)["pid"]
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """An interpreter whose packages are not this one's: a virtual environment with numpy alone."""
    folder = tmp_path_factory.mktemp("other")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = folder / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    for path in Path(np.__file__).parents[1].glob("numpy*"):
        (packages / path.name).symlink_to(path)
    return str(folder / "bin" / "python")


def test_another_interpreter_sees_our_packages_and_none_of_the_others_here(other_python, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(click.__file__).parents[1]))
    with child.Worker(other_python, ["tests"]) as worker:
        seen = worker.call(f"{ELSEWHERE}:look_around", timeout_s=60, name="click")
        numpy = worker.call(f"{ELSEWHERE}:look_around", timeout_s=60, name="numpy")
    assert seen["python"] == other_python
    assert not seen["found"]
    assert numpy["found"]
    assert seen["variables"] == []
    assert seen["edge_sdk"] == edge_sdk.__file__
    here = {path for path in sys.path if path.endswith("site-packages")}
    assert not here & set(seen["path"])


def test_another_interpreter_reports_errors_and_prints_alike(other_python):
    with child.Worker(other_python, ["tests"]) as worker:
        assert worker.call(f"{ELSEWHERE}:add", timeout_s=60, a=1, b=2) == 3
        with pytest.raises(GateError, match="expected at most 1"):
            worker.call(f"{ELSEWHERE}:gate", timeout_s=60)


def test_another_interpreter_has_no_package_that_was_not_named(other_python):
    with child.Worker(other_python) as worker, pytest.raises(ChildError, match="No module named 'tests'"):
        worker.call(f"{ELSEWHERE}:add", timeout_s=60, a=1, b=2)


def test_a_package_that_is_not_there_is_said_before_anything_starts(other_python):
    with (
        child.Worker(other_python, ["no_such_package"]) as worker,
        pytest.raises(ModuleNotFoundError, match="no_such_package"),
    ):
        worker.call(f"{ELSEWHERE}:add", timeout_s=60, a=1, b=2)


def fill(count):
    return len(bytearray(count))


def test_a_process_cannot_take_all_memory():
    with child.Worker(memory_bytes=512 << 20) as worker:
        with pytest.raises(ChildError, match="out of memory"):
            worker.call(f"{HERE}:fill", timeout_s=60, count=1 << 40)
        with pytest.raises(ChildError, match="out of memory"):
            worker.call(f"{HERE}:fill", timeout_s=60, count=1 << 30)
        assert worker.call(f"{HERE}:fill", timeout_s=60, count=1 << 20) == 1 << 20


def leave_a_file() -> str:
    return tempfile.mkstemp()[1]


def test_a_child_leaves_nothing_in_the_folder_for_temporary_files():
    left = Path(child.call(f"{HERE}:leave_a_file", timeout_s=60))
    assert left.parent.name.startswith("edgeml-")
    assert not left.parent.exists()
