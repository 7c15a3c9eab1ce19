"""What the service manager hears, on a real datagram socket."""

import os
import socket
import threading
import time

import pytest

from edge_sdk.errors import printable
from edge_sdk.service import Notifier
from edge_sdk.status import sentence
from tests.moments import moment


class Manager:
    """The end of the socket that systemd holds."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(10)

    def heard(self):
        return self._socket.recv(65536).decode().split("\n")

    def hear(self, line):
        """Waits for a message with this line; returns all its lines."""
        while line not in (lines := self.heard()):
            pass
        return lines

    def heard_within(self, seconds):
        lines, until = [], time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                lines += self.heard()
            except TimeoutError:
                break
        self._socket.settimeout(10)
        return lines

    def close(self):
        self._socket.close()


@pytest.fixture
def place(tmp_path):
    """NOTIFY_SOCKET, and the address behind it."""
    return str(tmp_path / "notify"), str(tmp_path / "notify")


@pytest.fixture
def manager(place):
    manager = Manager(place[1])
    yield manager
    manager.close()


def notifier(place, watchdog_s=None):
    environ = {"NOTIFY_SOCKET": place[0], "OTHER": "stays"}
    if watchdog_s is not None:
        environ |= {"WATCHDOG_USEC": str(int(watchdog_s * 1e6)), "WATCHDOG_PID": str(os.getpid())}
    made = Notifier(environ)
    assert environ == {"OTHER": "stays"}
    return made


class Loop:
    """A loop whose model thread works, or waits for ever for a lock that it holds itself."""

    def __init__(self, **facts):
        self.now = moment(progress=0)
        for name, value in facts.items():
            setattr(self.now, name, value)
        self.deadlocked = threading.Event()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.wait(0.01):
            if self.deadlocked.is_set():
                with self._lock:
                    self._lock.acquire()
            self.now.progress += 1

    def end(self):
        self._end.set()
        if self.deadlocked.is_set():
            self._lock.release()
        self._thread.join(5)


@pytest.fixture
def loop():
    loops = []

    def start(**facts):
        loops.append(Loop(**facts))
        return loops[-1]

    yield start
    for one in loops:
        one.end()


def test_a_run_that_is_ready_says_so_once(place, manager, loop):
    with notifier(place) as said:
        said.extend(60, "verifying motion.tflite")
        assert manager.heard() == ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=verifying motion.tflite"]
        said.watch(loop_take(loop()))
        lines = manager.hear("READY=1")
        assert "STATUS=ok: 1000 predictions, 1 queued" in lines
        assert "READY=1" not in manager.heard_within(0.5)


def loop_take(loop):
    return lambda: loop.now


def test_a_run_that_starts_gets_more_time_as_long_as_it_moves(place, manager, loop, monkeypatch):
    monkeypatch.setattr("edge_sdk.service.PATIENCE_S", 0.5)
    with notifier(place) as said:
        said.watch(loop_take(loop(ready=False)))
        assert manager.heard()[0] == "EXTEND_TIMEOUT_USEC=30000000"
        # A sensor that was unplugged at boot is no reason to fail.
        assert "READY=1" in manager.hear("READY=1")


def test_the_watchdog_is_petted_while_the_loop_moves_and_not_when_it_hangs(place, manager, loop):
    running = loop()
    with notifier(place, watchdog_s=0.4) as said:
        said.watch(loop_take(running))
        manager.hear("READY=1")
        for _ in range(5):
            manager.hear("WATCHDOG=1")
        running.deadlocked.set()
        manager.heard_within(0.3)  # what was on its way
        assert "WATCHDOG=1" not in manager.heard_within(0.6)


def test_a_snapshot_that_cannot_be_taken_pets_nothing_and_ends_nothing(place, manager, loop, caplog):
    running, broken = loop(), threading.Event()

    def take():
        if broken.is_set():
            raise RuntimeError("dictionary changed size during iteration")
        return running.now

    with notifier(place, watchdog_s=0.4) as said:
        said.watch(take)
        manager.hear("WATCHDOG=1")
        broken.set()
        manager.heard_within(0.3)
        assert "WATCHDOG=1" not in manager.heard_within(0.5)
        assert "cannot look: RuntimeError: dictionary changed" in caplog.text
        broken.clear()
        manager.hear("WATCHDOG=1")


def test_a_reload_tells_its_time_and_its_end(place, manager):
    with notifier(place) as said:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        said.reloading()
        lines = dict(line.split("=", 1) for line in manager.heard())
        assert lines["RELOADING"] == "1"
        assert before <= int(lines["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        said.ready()
        assert manager.heard() == ["READY=1"]


def test_draining_takes_as_long_as_it_moves(place, manager, loop):
    running = loop()
    with notifier(place) as said:
        said.watch(loop_take(running))
        manager.hear("READY=1")
        said.stopping()
        assert "STOPPING=1" in manager.hear("STATUS=delivering what was read")
        manager.hear("EXTEND_TIMEOUT_USEC=30000000")
        running.deadlocked.set()
        manager.heard_within(0.3)
        assert manager.heard_within(0.5) == []


def test_the_socket_may_be_in_the_abstract_namespace():
    name = f"edgeml-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    with notifier([f"@{name}"]) as said:
        said.ready()
        assert manager.heard() == ["READY=1"]
    manager.close()


def test_a_status_is_one_line_whatever_the_names(place, manager, loop):
    running = loop()
    running.now.sources[0].problem = "x\nWATCHDOG=1\nREADY=1\x1b[2J" + "y" * 5000
    with notifier(place) as said:
        said.watch(loop_take(running))
        lines = manager.hear("READY=1")
        (status,) = (line for line in lines if line.startswith("STATUS="))
        assert lines.count("READY=1") == 1
        assert "WATCHDOG=1" not in lines
        assert len(status) <= 307
        assert status.startswith("STATUS=degraded: ")
        assert printable(status) == status


def test_nothing_is_said_where_nobody_listens(tmp_path):
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        with Notifier(environ) as said:
            assert not said.listens
            said.watch(moment)
            said.ready()
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}) as said:
        said.ready()  # the manager died: no reason to do the same
        said.close()


def test_a_manager_that_does_not_read_is_not_waited_for(place, manager):
    with notifier(place) as said:
        start = time.monotonic()
        for _ in range(2_000):  # more than its queue takes
            said.extend(1, "x" * 200)
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "this one", 30.0),
        ("30000000", "", 30.0),
        ("30000000", "1", None),  # meant for another process
        ("0", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_the_environment_s(usec, pid, seconds):
    pid = pid.replace("this one", str(os.getpid()))
    with Notifier({"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}) as said:
        assert said.watchdog_s == seconds


def test_the_sentence_names_the_worst():
    now = moment(sources=3)
    assert sentence(now) == "ok: 1000 predictions, 1 queued"
    now.sources[0].problem, now.sources[2].problem = "unplugged", "silent"
    now.ledger.lost = 2
    assert sentence(now) == (
        "degraded: mqtt://broker/plant/line-0/+/imu: unplugged (and 1 more);"
        " 1000 predictions, 1 queued, 2 lost"
    )
