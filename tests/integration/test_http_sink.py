"""Predictions reach a real web server however it misbehaves, or the pipeline is told the truth."""

import hashlib
import hmac
import json
import socket
import ssl
import threading
import time

import numpy as np
import pytest

from edge_sdk import ConfigError, Prediction, Retry, open_sink
from edge_sdk.errors import Rejected
from tests.integration import http_server as web
from tests.integration.certificates import Authority
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def server():
    with web.web_server() as started:
        yield started


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def predictions(n, device="press-7"):
    scores = np.array([0.1, 0.9], np.float32)
    return [Prediction("fall", 0.9, None, scores, device, "run", i) for i in range(n)]


def sink_to(server, tail="", scheme="http", **options):
    return open_sink(f"{scheme}://127.0.0.1:{server.port}/hook{tail}", **{"timeout_s": 0.5, **options})


def keys(server):
    return [request.headers["idempotency-key"] for request in server.requests]


def test_each_prediction_is_one_request_over_one_connection(server):
    with sink_to(server, timeout_s=10) as sink:
        sink.write(predictions(3))
        sink.write(predictions(2))
    assert [json.loads(request.body)["sequence"] for request in server.requests] == [0, 1, 2, 0, 1]
    first = server.requests[0]
    assert (first.method, first.path) == ("POST", "/hook")
    assert first.headers["content-type"] == "application/json"
    assert json.loads(first.body)["label"] == "fall"
    assert server.connections == 1
    assert keys(server)[:2] == keys(server)[3:]
    assert len(set(keys(server))) == 3


def test_a_batch_is_an_array(server):
    with sink_to(server, batch=3, query="a=1&b=zwei", timeout_s=10) as sink:
        sink.write(predictions(7))
    bodies = [json.loads(request.body) for request in server.requests]
    assert [[one["sequence"] for one in body] for body in bodies] == [[0, 1, 2], [3, 4, 5], [6]]
    assert {request.path for request in server.requests} == {"/hook?a=1&b=zwei"}
    assert len(set(keys(server))) == 3


@pytest.mark.parametrize(
    ("behaviour", "found"),
    [
        (web.answer(500, b"out of\r\n order"), "cannot take them now: found 500 .*out of order"),
        (web.answer(503), "cannot take them now"),
        (web.answer(408), "cannot take them now"),
        (web.answer(425), "cannot take them now"),
        (web.answer(401), "refuses this client: found 401 Unauthorized; renew the token"),
        (web.answer(403, b"no"), "refuses this client: found 403 Forbidden: no"),
        (
            web.answer(302, Location="http://elsewhere/hook"),
            "found 302 to http://elsewhere/hook; put the final",
        ),
        (web.hang, "did not answer: expected within 0.5 s"),
        (web.hang_in_head, "did not answer"),
        (web.hang_after_head, "did not answer"),
        (web.cut_in_body, "broke off"),
        (web.cut_in_chunks, "broke off"),
        (web.cut_at_once, "broke off"),
        (web.reset, "broke off"),
        (web.drip(b"HTTP/1.1 200 OK\r\n" + b"x" * 9999), "did not answer"),
        (web.drip(web.head(200, 9999) + b"x" * 9999), "did not answer"),
        (web.say(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not answer in HTTP"),
        (web.say(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"), "does not answer in HTTP"),
        (web.say(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 99999), "does not answer in HTTP"),
        (web.say(b"\xff\x00" * 70000), "does not answer in HTTP"),
        (web.answer(199), "cannot take them now"),
    ],
)
def test_what_may_work_later_is_a_retry_with_the_same_key(server, behaviour, found):
    server.then(behaviour)
    began = time.monotonic()
    with sink_to(server) as sink, pytest.raises(Retry, match=found):
        sink.write(predictions(1))
    assert time.monotonic() - began < 5
    with sink_to(server, timeout_s=10) as sink:  # as the pipeline opens it again
        sink.write(predictions(1))
    assert len(keys(server)) == 2
    assert len(set(keys(server))) == 1
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 422])
def test_what_the_server_refuses_for_good_is_rejected(server, status):
    server.then(web.answer(status, b'{"error": "no such label"}'))
    with sink_to(server) as sink:
        with pytest.raises(Rejected, match=f"refuses them: found {status} .*no such label"):
            sink.write(predictions(1))
        sink.write(predictions(1))  # and the connection goes on
    assert server.connections == 1


def test_a_refusal_before_the_body_was_read_is_heard(server):
    server.early = True
    server.then(web.then_close(web.answer(413, b"too large", Connection="close")))
    with sink_to(server, batch=1000, timeout_s=10) as sink, pytest.raises(Rejected, match="413"):
        sink.write(predictions(1000))


def test_how_long_the_server_wants_to_be_left_alone(server):
    date = {"Date": "Thu, 01 Jan 2026 10:00:00 GMT", "Retry-After": "Thu, 01 Jan 2026 10:02:00 GMT"}
    server.then(
        web.answer(429, Retry_After="7"),
        web.answer(503, **date),
        web.answer(503, Retry_After="99999999"),
        web.answer(503, Retry_After="soon"),
        web.answer(503, Retry_After="nan"),
    )
    waits = []
    for _ in range(5):
        with sink_to(server) as sink, pytest.raises(Retry) as caught:
            sink.write(predictions(1))
        waits.append(caught.value.retry_after_s)
    assert waits == [7, 120, 3600, None, None]


def test_a_connection_that_the_server_closed_between_requests_is_not_noticed(server):
    for _ in range(4):
        server.then(web.then_close(web.answer(204)))
    with sink_to(server, timeout_s=10) as sink:
        for _ in range(4):
            sink.write(predictions(1))
    assert server.connections == 4
    assert len(server.requests) == 4


def test_a_connection_that_closes_just_as_the_request_goes_out_is_tried_once_more(server):
    server.then(web.answer(204), web.cut_at_once, web.answer(204), web.cut_at_once, web.cut_at_once)
    with sink_to(server, timeout_s=10) as sink:
        sink.write(predictions(1))
        sink.write(predictions(1))
        assert server.connections == 2
        with pytest.raises(Retry, match="broke off"):  # a new connection, too: then it is a failure
            sink.write(predictions(1))
    assert len(server.requests) == 5
    assert len(set(keys(server))) == 1


def test_an_answer_without_end_is_not_read_to_its_end(server):
    server.then(web.say(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 1_000_000))
    with sink_to(server, timeout_s=10) as sink:
        sink.write(predictions(2))
    assert server.connections == 2


def test_no_server_is_a_retry_also_while_nothing_is_to_be_written():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with open_sink(f"http://127.0.0.1:{taken.getsockname()[1]}/hook") as sink:
            with pytest.raises(Retry, match="cannot be reached: found Connection refused"):
                sink.write(predictions(1))
            with pytest.raises(Retry, match="cannot be reached"):
                sink.idle()
    with open_sink("http://nowhere.invalid/hook") as sink, pytest.raises(Retry, match="cannot be looked up"):
        sink.write(predictions(1))


def test_idle_connects_once(server):
    with sink_to(server, timeout_s=10) as sink:
        sink.idle()
        sink.idle()
        wait_for(lambda: server.connections == 1)
        sink.write(predictions(1))
        sink.idle()
    assert server.connections == 1


def test_closing_ends_a_write_that_waits(server):
    server.then(web.hang)
    sink = sink_to(server, timeout_s=60)
    failed = []

    def write():
        with pytest.raises(Retry) as caught:
            sink.write(predictions(1))
        failed.append(caught.value)

    thread = threading.Thread(target=write)
    thread.start()
    wait_for(lambda: server.requests)
    sink.close()
    thread.join(5)
    assert failed


def test_secrets_travel_in_headers_and_never_in_messages(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HOOK_TOKEN", "s3cret-token")
    monkeypatch.setenv("API_KEY", "k3y")
    server.then(web.answer(422, b"you said s3cret-token and k3y"))
    with (
        sink_to(server, token_env="HOOK_TOKEN", header=("X-Api-Key: $API_KEY", "X-Site: 7")) as sink,
        pytest.raises(Rejected) as caught,
    ):
        sink.write(predictions(1))
    headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer s3cret-token"
    assert (headers["x-api-key"], headers["x-site"]) == ("k3y", "7")
    assert "s3cret" not in str(caught.value)
    assert "k3y" not in str(caught.value)
    token = tmp_path / "token"
    token.write_text("from-file\n")
    with sink_to(server, f"?token_file={token}") as sink:
        sink.write(predictions(1))
    assert server.requests[1].headers["authorization"] == "Bearer from-file"
    token.unlink()
    with pytest.raises(Retry, match="token: .* cannot be read: found No such file"):
        sink_to(server, token_file=str(token))


def test_a_redirect_never_takes_the_token_along(server, monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", "s3cret-token")
    with web.web_server() as other:
        server.then(web.answer(307, Location=f"http://127.0.0.1:{other.port}/hook"))
        with sink_to(server, token_env="HOOK_TOKEN") as sink, pytest.raises(Retry, match="sends elsewhere"):
            sink.write(predictions(1))
        assert not other.requests
        assert other.connections == 0


def test_requests_are_signed(server, monkeypatch):
    monkeypatch.setenv("SIGN_KEY", "shared secret")
    with sink_to(server, sign_env="SIGN_KEY", batch=2) as sink:
        sink.write(predictions(2, device='Prüfstand 7 → "x"'))
    (request,) = server.requests
    stamp, _, digest = request.headers["edgeml-signature"].partition(",v1=")
    signed = stamp.removeprefix("t=").encode() + b"." + request.body
    assert hmac.new(b"shared secret", signed, hashlib.sha256).hexdigest() == digest
    assert abs(int(stamp.removeprefix("t=")) - time.time()) < 60
    assert json.loads(request.body)[0]["device"] == 'Prüfstand 7 → "x"'


def serving(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


def test_tls_with_an_authority_of_its_own(authority, tmp_path):
    good = serving(authority.issue("good", "IP:127.0.0.1", "DNS:localhost"))
    with web.web_server(good) as server:
        with sink_to(server, scheme="https", ca=str(authority.cert), timeout_s=10) as sink:
            sink.idle()
            sink.write(predictions(3))
        assert len(server.requests) == 3
        assert server.connections == 1
        with sink_to(server, scheme="https", timeout_s=10) as sink, pytest.raises(Retry) as caught:
            sink.write(predictions(1))
        assert "certificate is not trusted" in str(caught.value)
        assert "ca=FILE" in str(caught.value)
        other = Authority(tmp_path, "somebody-else")
        with (
            sink_to(server, scheme="https", ca=str(other.cert), timeout_s=10) as sink,
            pytest.raises(Retry, match="not trusted"),
        ):
            sink.write(predictions(1))
        assert len(server.requests) == 3  # nothing was sent to a server that is not trusted


@pytest.mark.parametrize(
    ("names", "dates", "found"),
    [
        (("DNS:elsewhere",), {}, "not trusted: expected one made out to 127.0.0.1.*write the name"),
        (
            ("IP:127.0.0.1",),
            {"start": "20500101000000Z", "end": "20510101000000Z"},
            "not trusted.*found certificate is not yet valid; ",
        ),
        (
            ("IP:127.0.0.1",),
            {"start": "20200101000000Z", "end": "20200201000000Z"},
            "not trusted.*found certificate has expired; ",
        ),
    ],
)
def test_a_certificate_for_another_name_or_time_is_a_retry(authority, names, dates, found):
    # A clock in 1970 sees every certificate as the one of 2050 is seen here.
    with web.web_server(serving(authority.issue("bad", *names, **dates))) as server:
        with (
            sink_to(server, scheme="https", ca=str(authority.cert), timeout_s=10) as sink,
            pytest.raises(Retry, match=found),
        ):
            sink.write(predictions(1))
        assert not server.requests


def test_client_certificates(authority):
    context = serving(authority.issue("server", "IP:127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.cert)
    mine = authority.issue("press-7")
    with web.web_server(context) as server:
        options = {"scheme": "https", "ca": str(authority.cert), "timeout_s": 10}
        with sink_to(server, cert=str(mine.cert), key=str(mine.key), **options) as sink:
            sink.write(predictions(1))
        assert len(server.requests) == 1
        with sink_to(server, **options) as sink, pytest.raises(Retry, match="127.0.0.1"):
            sink.write(predictions(1))
        with pytest.raises(ConfigError, match="ca, cert or key: expected PEM files"):
            sink_to(server, cert=str(mine.key), **options)


def test_tls_to_a_server_without_it_and_the_other_way_round(server, authority):
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def refuse():
            sock, _ = plain.accept()
            with sock:
                sock.recv(1)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"https://127.0.0.1:{plain.getsockname()[1]}/hook"
        with (
            open_sink(url) as sink,
            pytest.raises(Retry, match="no TLS .*does not speak TLS there, use http"),
        ):
            sink.write(predictions(1))
        thread.join()
    with (
        web.web_server(serving(authority.issue("tls", "IP:127.0.0.1"))) as secure,
        sink_to(secure) as sink,
        pytest.raises(Retry, match="broke off|does not answer in HTTP"),
    ):
        sink.write(predictions(1))


def test_a_tls_server_that_trickles_is_given_up_in_time(authority):
    with web.web_server(serving(authority.issue("slow", "IP:127.0.0.1"))) as server:
        server.then(web.drip(web.head(200, 9999) + b"x" * 9999))
        began = time.monotonic()
        with (
            sink_to(server, scheme="https", ca=str(authority.cert), timeout_s=1) as sink,
            pytest.raises(Retry, match="did not answer"),
        ):
            sink.write(predictions(1))
        assert time.monotonic() - began < 5


def test_a_handshake_that_hangs_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/hook?timeout_s=0.5"
        with open_sink(url) as sink, pytest.raises(Retry, match="did not answer"):
            sink.write(predictions(1))


def test_a_secret_does_not_travel_in_the_clear(monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", "s3cret-token")
    for options in ({"token_env": "HOOK_TOKEN"}, {"header": ("Authorization: Basic x",)}):
        with pytest.raises(ConfigError, match="in the clear; use https://, or insecure = true"):
            open_sink("http://192.0.2.1/hook", **options)
        open_sink("http://192.0.2.1/hook", insecure=True, **options).close()
        open_sink("https://192.0.2.1/hook", **options).close()
        open_sink("http://localhost/hook", **options).close()
        open_sink("http://[::1]:80/hook", **options).close()
