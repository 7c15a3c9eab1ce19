"""A release that does not work is not switched to, or is gone back from, and one is told why."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import modelfile
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS, Golden
from tests.integration.deploy.conftest import full
from tests.integration.deploy.waiting import read_until, wait_for
from tests.models import Linear, contract, flatbuffer

pytestmark = pytest.mark.integration


def write_wrong(desk):
    """A model whose golden vectors are those of another."""
    desk.write()
    spec = Linear(window=20)
    raw = flatbuffer(spec)
    input_facts = replace(contract(spec).input, rate_hz=50.0, hop=10)
    facts = contract(spec, digest=modelfile.digest_of(raw), input=input_facts)
    windows = np.random.default_rng(5).normal(size=(4, spec.window, spec.channels)).astype(np.float32)
    wrong = np.roll(np.stack([spec.expected(window) for window in windows]), 1, axis=1)
    golden = Golden((windows,), (wrong.astype(np.float32),), (1e-4,))
    members = {CONTRACT: facts.to_json(), GOLDEN: golden.to_bytes(), LABELS: b"x\ny\nz\n"}
    (desk.folder / "m.tflite").write_bytes(modelfile.pack(raw, members))


def test_one_whose_golden_vectors_fail_is_not_switched_to(serving):
    write_wrong(serving)
    told = serving.deploy("--version", "wrong", status=1)
    assert "self-test" in told["error"]
    assert "golden" in told["error"]
    assert serving.serves("old")
    assert serving.status()["on_trial"] is False


def test_one_that_ends_is_gone_back_from(serving):
    serving.write('url = "synthetic:sine"\nspeed = 1\nseconds = 1')
    told = serving.deploy("--version", "short", status=1, window=60)
    assert "short does not work there" in told["error"]
    assert told["found"].startswith("it ended")
    assert told["remedy"] == "old runs again"
    assert serving.serves("old")
    refused = next(each for each in serving.status()["releases"] if each["version"] == "short")
    assert refused["verdict"] == "refused"
    assert refused["reason"] == told["found"]


def test_the_first_one_of_all_is_off_when_it_ends(desk):
    desk.write('url = "synthetic:sine"\nspeed = 1\nseconds = 1')
    told = desk.deploy("--version", "first", status=1, window=60)
    assert told["found"].startswith("it ended")
    assert told["remedy"] == "nothing ran there before"
    status = desk.status()
    assert (status["current"], status["on_trial"], status["state"]) == (None, False, "ended")


def test_one_whose_sensor_is_not_there_is_gone_back_from(serving):
    serving.write('url = "serial:///dev/ttyUSB7?baud=115200"')
    told = serving.deploy("--version", "blind", status=1)
    assert told["found"].startswith("it is unhealthy: ")
    assert "ttyUSB7" in told["found"]
    assert serving.serves("old")


def test_one_that_works_only_until_the_next_reboot(serving):
    machine = serving.machine
    serving.write(more='status = "127.0.0.1:9700"')
    assert serving.deploy("--version", "later", window=1)["state"] == "it works"
    # systemd itself takes the port, ahead of every service, however slow the machine is
    machine.put(
        "/etc/systemd/system/taken.socket",
        "[Socket]\nListenStream=127.0.0.1:9700\n[Install]\nWantedBy=sockets.target\n",
    )
    machine.put("/etc/systemd/system/taken.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")
    machine.ask("systemctl enable taken.socket && sync")  # what a memory holds is gone with the power
    machine.cut_power()
    machine.boot()
    wait_for(lambda: serving.serves("old"))
    refused = next(each for each in serving.status()["releases"] if each["version"] == "later")
    assert "127.0.0.1:9700" in refused["reason"]
    machine.ask("systemctl disable --now taken.socket")


#: Where results go: it answers for so long after the first of them, and is gone.
DESTINATION = """
import sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
class Taker(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
server = HTTPServer(("127.0.0.1", 7000), Taker)
server.handle_request()
server.timeout = 0.1
end_s = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end_s:
    server.handle_request()
"""


@pytest.mark.parametrize(("well_s", "window"), [(2, 6), pytest.param(60, None, marks=full)])
def test_one_that_turns_unhealthy_is_gone_back_from(serving, well_s, window):
    """Well for some seconds; with the window that one has who says nothing, for a minute."""
    machine = serving.machine
    machine.put("/root/destination.py", DESTINATION)
    machine.ask(f"systemd-run --quiet --unit=destination python3 /root/destination.py {well_s}")
    serving.write(sink="http://127.0.0.1:7000/results")
    told = serving.deploy("--version", "tired", status=1, window=window)
    assert told["found"].startswith("it is unhealthy: http://127.0.0.1:7000/results: ")
    assert told["remedy"] == "old runs again"
    assert machine.ask("systemctl is-active destination", check=False).strip() == "inactive"
    assert serving.serves("old")


@full
@pytest.mark.parametrize(("more", "said"), [("", "does not answer"), ('status = "none"', "watchdog")])
def test_one_that_hangs_is_gone_back_from(serving, more, said):
    """Its health is asked; where it tells none, systemd's watchdog ends it."""
    machine = serving.machine
    serving.write(more=more)
    with serving.start(*serving.words("--version", "stuck", window=120)) as process:
        read_until(process, "watching")
        assert serving.serves("stuck")
        pid = machine.ask(f"systemctl show -P MainPID {serving.unit}").strip()
        machine.ask(f"kill -{signal.SIGSTOP.value} {pid}")
        out, err = process.communicate(timeout=1200)
    assert process.returncode == 1, err
    assert said in json.loads(out)["found"]
    assert serving.serves("old")
