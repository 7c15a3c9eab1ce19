"""The real HTTP server: what it says, and that nobody can tie it up."""

import contextlib
import http.client
import json
import logging
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Pipeline, recordings
from edge_sdk.recordings import Signal
from edge_sdk.status import Status
from tests.exposition import parse
from tests.models import write_model
from tests.moments import moment

pytestmark = pytest.mark.integration

DESCRIPTORS = Path("/proc/self/fd")


class Given:
    """Hands out a snapshot that a test may change, and counts how often it was asked."""

    def __init__(self):
        self.now, self.taken = moment(), 0

    def take(self):
        self.taken += 1
        return self.now


@pytest.fixture
def pipeline():
    return Given()


@pytest.fixture
def status(pipeline):
    with Status(pipeline.take, "127.0.0.1:0") as status:
        status.start()
        yield status


def ask(status, path, method="GET", **headers):
    host, _, port = status.address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def soon(status, path, code):
    """Asks until it is answered so: an answer may be a tenth of a second old."""
    deadline = time.monotonic() + 10
    while (asked := ask(status, path))[0].status != code:
        assert time.monotonic() < deadline, asked
        time.sleep(0.02)
    return asked


def test_metrics_are_openmetrics_and_what_prometheus_took_before(status):
    response, body = ask(status, "/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert parse(body.decode())["edgeml_predictions"].value() == 1000
    response, body = ask(status, "/metrics?name=x", Accept="text/plain;version=0.0.4;q=1,*/*;q=0.1")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE edgeml_predictions_total counter" in body


def test_health_and_readiness_are_status_codes(status, pipeline):
    response, body = ask(status, "/health")
    assert (response.status, json.loads(body)["health"]) == (200, "ok")
    pipeline.now.sources[0].connected, pipeline.now.sources[0].problem = False, "unplugged \udc80"
    time.sleep(0.15)
    response, body = ask(status, "/health")
    assert (response.status, json.loads(body)["health"]) == (200, "degraded")
    pipeline.now.sources[1].connected = False
    _, body = soon(status, "/health", 503)
    assert json.loads(body)["health"] == "failing"
    assert ask(status, "/ready")[0].status == 200
    pipeline.now.ready = False
    _, body = soon(status, "/ready", 503)
    assert json.loads(body) == {"ready": False}


def test_head_has_the_head_only(status):
    response, body = ask(status, "/health", "HEAD")
    assert (response.status, body) == (200, b"")
    assert int(response.headers["Content-Length"]) > 100


@pytest.mark.parametrize(
    ("path", "method", "code"), [("/", "GET", 404), ("/metricsx", "HEAD", 404), ("/metrics", "POST", 405)]
)
def test_other_paths_and_methods_are_refused(status, path, method, code):
    assert ask(status, path, method)[0].status == code


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /metrics\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET /ready HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"x" * 100_000, 431),
    ],
)
def test_garbage_is_refused_and_the_answer_arrives(status, request_, code):
    host, _, port = status.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        with contextlib.suppress(OSError):
            caller.sendall(request_)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := caller.recv(65536):
                answer += data
    assert answer.startswith(f"HTTP/1.1 {code} ".encode())
    assert ask(status, "/ready")[0].status == 200


def test_a_bug_in_the_snapshot_is_one_line_and_passes(status, pipeline):
    pipeline.now = "no snapshot"
    response, body = ask(status, "/metrics")
    assert response.status == 500
    assert body == b"/metrics failed: AttributeError: 'str' object has no attribute 'sources'\n"
    pipeline.now = moment()
    soon(status, "/metrics", 200)


def test_a_pipeline_that_does_not_run_is_not_ready(status, pipeline):
    pipeline.now = None
    for path in ("/metrics", "/health", "/ready"):
        response, body = ask(status, path)
        assert (response.status, body) == (503, b"the pipeline does not run now\n")


def test_those_who_say_nothing_do_not_keep_others_out(status):
    host, _, port = status.address.rpartition(":")
    before = len(list(DESCRIPTORS.iterdir()))
    with contextlib.ExitStack() as silent:
        for _ in range(100):
            caller = silent.enter_context(socket.create_connection((host, int(port)), timeout=10))
            caller.send(b"GET /metr")
            assert ask(status, "/ready")[0].status == 200
        assert len(list(DESCRIPTORS.iterdir())) - before <= 100 + 20  # theirs, and the server's few
        assert [thread.name for thread in threading.enumerate()].count("status") == 1


def test_one_who_does_not_read_is_hung_up_on(pipeline, monkeypatch):
    monkeypatch.setattr("edge_sdk.responder._PATIENCE_S", 0.3)
    pipeline.now = moment(sources=5000)  # more than the kernel takes for it
    with Status(pipeline.take, "127.0.0.1:0") as status:
        status.start()
        host, _, port = status.address.rpartition(":")
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.settimeout(20)
            caller.connect((host, int(port)))
            caller.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            time.sleep(1.0)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while data := caller.recv(1 << 20):
                    answer += data
        assert answer.startswith(b"HTTP/1.1 200")
        assert not answer.endswith(b"# EOF\n")
        monkeypatch.undo()
        assert ask(status, "/ready")[0].status == 200


def test_asking_often_takes_no_more_than_a_snapshot_every_tenth_of_a_second(status, pipeline):
    start = time.monotonic()
    for _ in range(200):
        assert ask(status, "/metrics")[0].status == 200
    assert pipeline.taken <= 2 + 10 * (time.monotonic() - start)


def test_other_addresses_only_with_a_word(pipeline, caplog):
    with caplog.at_level(logging.WARNING, "edgeml"), Status(pipeline.take, "0.0.0.0:0") as status:
        status.start()
        assert ask(status, "/ready")[0].status == 200
    assert "everyone who reaches 0.0.0.0:" in caplog.text


def test_ipv6(pipeline):
    if not socket.has_ipv6 or "::1" not in _addresses():
        pytest.skip("this machine has no IPv6 loopback")
    with Status(pipeline.take, "[::1]:0") as status:
        status.start()
        assert status.address.startswith("[::1]:")
        assert ask(status, "/ready")[0].status == 200


def test_closing_ends_the_thread_and_frees_the_port(pipeline):
    status = Status(pipeline.take, "127.0.0.1:0")
    status.start()
    assert ask(status, "/ready")[0].status == 200
    status.close()
    status.close()
    assert "status" not in {thread.name for thread in threading.enumerate()}
    with Status(pipeline.take, status.address) as again:
        again.start()
        assert ask(again, "/ready")[0].status == 200


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    write_model(tmp_path / "motion.tflite")
    samples = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    recordings.write(tmp_path / "walk.csv", Signal(samples, 50.0, ("ax", "ay", "az")))
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs/service.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names = {}
    exec(compile(code, "service.md", "exec"), names)
    assert names["report"].predictions > 0
    assert re.match(r"http://127\.0\.0\.1:\d+/metrics", capsys.readouterr().out)


def test_a_real_run_tells_of_itself(tmp_path, monkeypatch):
    """While it runs; its books at the end are those of the last answer or later ones."""
    write_model(tmp_path / "motion.tflite")
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline("motion.tflite", ["synthetic:sine"], ["jsonl:out.jsonl"])
    with Status(pipeline.snapshot, "127.0.0.1:0") as status:
        status.start()
        assert ask(status, "/health")[0].status == 503
        running = threading.Thread(target=pipeline.run, kwargs={"duration_s": 30})
        running.start()
        soon(status, "/ready", 200)
        deadline = time.monotonic() + 20
        while True:
            told = parse(ask(status, "/metrics")[1].decode())
            if told["edgeml_predictions"].value() >= 3 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        said = json.loads(ask(status, "/health")[1])
        pipeline.stop()
        running.join(20)
    assert told["edgeml_predictions"].value() >= 3
    assert told["edgeml_source_connected"].samples[0][2] == 1
    assert said["health"] == "ok"
    assert said["ledger"]["balanced"]


def test_curl_reads_it(status):
    curl = shutil.which("curl")
    assert curl, "apt-get install curl"
    said = subprocess.run(
        [curl, "-sS", "--fail", f"http://{status.address}/health"], capture_output=True, timeout=20
    )
    assert json.loads(said.stdout)["device"] == "press-7", said.stderr


def _addresses():
    with contextlib.suppress(OSError):
        return {"::1"} if f"{1:032x}" in Path("/proc/net/if_inet6").read_text() else set()
    return set()
