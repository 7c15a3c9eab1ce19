"""What happens in a child process stays there: crashes, hangs, prints and errors come back as data."""

import os
import signal
import time
from pathlib import Path

import pytest

from edge_sdk import child
from edge_sdk.errors import ChildError, ChildTimeoutError, GateError, UnknownNameError

HERE = "tests.unit.edge_sdk.test_child"


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
