"""A release is judged by what is seen of it."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from edge_sdk.deploy import trial
from edge_sdk.deploy.trial import Look, Trial, ask


def judged(looks, **limits):
    """What a trial says, and after how many looks."""
    judge = Trial(**{"window_s": 10, "start_s": 60, "patience_s": 15, **limits})
    for number, look in enumerate(looks, 1):
        said = judge.take(look)
        if said is not None:
            return said, number
    return None, len(looks)


def looks(*states, restarts=0, result=""):
    """One a second: a state, or why it is unhealthy."""
    for time_s, state in enumerate(states):
        known = state in ("starting", "active", "ended")
        yield Look(time_s, state if known else "active", restarts, result, None if known else state)


def test_one_that_is_well_for_the_window():
    assert judged(list(looks(*["starting"] * 5, *["active"] * 20))) == ("", 16)


def test_one_that_never_gets_ready():
    assert judged(list(looks(*["starting"] * 100))) == ("it was not ready within 60 s", 62)


def test_one_that_ends():
    said = list(looks("starting", "active", "ended", result="exit status 3"))
    assert judged(said) == ("it ended (exit status 3)", 3)


def test_one_that_was_started_again_between_two_looks():
    said = [Look(0, "active"), Look(1, "active", restarts=1, result="watchdog")]
    assert judged(said) == ("it ended and was started again (watchdog)", 2)


def test_one_that_is_unhealthy_for_too_long():
    assert judged(list(looks("active", *["no sensor"] * 20))) == ("it is unhealthy: no sensor", 12)
    assert judged(list(looks("active", *["no sensor"] * 20)), window_s=1)[1] == 7
    assert judged(list(looks("active", *["no sensor"] * 40)), window_s=100)[1] == 17


def test_one_that_recovers_begins_its_window_anew():
    said = [*looks(*["active"] * 5, *["no sensor"] * 5, *["active"] * 11)]
    assert judged(said) == ("", 21)


def test_one_that_is_well_and_ill_by_turns_is_judged_too():
    said = list(looks(*(["active"] * 5 + ["no sensor"]) * 20))
    assert judged(said)[0] == "it is unhealthy: no sensor"


def test_a_moment_without_health_is_forgiven():
    assert judged(list(looks("late", "late", *["active"] * 11))) == ("", 13)


@pytest.fixture
def server():
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[self.path]
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield answers, f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"health": "ok", "problems": [], "ready": true}', None),
        (200, b'{"health": "degraded", "problems": ["mqtt: away"], "ready": true}', None),
        (200, b'{"health": "degraded", "problems": ["serial: no port"], "ready": false}', "serial: no port"),
        (200, b'{"health": "ok", "problems": [], "ready": false}', "ok"),
        (200, b"fine", None),
        (503, b'{"health": "failing", "problems": ["a: b", "c: d"]}', "a: b; c: d"),
        (503, b'{"health": "failing"}', "failing"),
        (503, b"[1]", "says 503"),
        (500, b"\xff", "says 500"),
    ],
)
def test_what_health_says(server, status, body, said):
    answers, url = server
    answers["/health"] = status, body
    found = ask(f"{url}/health", ready=True)
    assert (found is None) if said is None else (said in found)
    if status == 200:
        assert ask(f"{url}/health") is None


def test_no_other_place_is_asked_than_the_one_it_tells_its_health_at(server):
    answers, url = server
    answers |= {"/health": (302, b""), "/elsewhere": (200, b"")}
    assert "says 302" in ask(f"{url}/health")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n"])
def test_health_that_never_ends_is_not_waited_for(monkeypatch, head):
    monkeypatch.setattr(trial, "_ASK_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def dribble():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(head)
                while True:
                    connection.sendall(b"x")
                    threading.Event().wait(0.01)

        thread = threading.Thread(target=dribble)
        thread.start()
        assert "does not answer" in ask(f"http://127.0.0.1:{server.getsockname()[1]}/health")
        thread.join()


def test_health_that_nobody_tells():
    assert "does not answer" in ask("http://127.0.0.1:1/health")
