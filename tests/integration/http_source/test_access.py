"""Where a source listens, and who is let in."""

import os
import socket
import ssl
import subprocess
import sys
import time

import pytest

from edge_sdk import ConfigError, Retry, open_source
from edge_sdk.errors import Fatal
from edge_sdk.plugins import check_url
from tests.integration.certificates import Authority
from tests.integration.http_source.devices import XY, Reading, connected, raw, whole
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def test_the_token_opens_and_nothing_else_does(device, monkeypatch):
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    with Reading(token_env="DEVICE_TOKEN") as reading:
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            status, said = device(reading.port).post("/readings/w1", b"1,2", **wrong)
            assert status == 401
            assert "s3cret" not in str(said)
        one = device(reading.port)
        assert one.post("/readings/w1", b"1,2", Authorization="Bearer s3cret") == (202, {"taken": 1})
        wait_for(lambda: reading.faults["refused"])
    assert len(reading.blocks) == 1
    assert not any("s3cret" in str(item) for item in reading.items)


def test_other_machines_are_let_in_only_with_a_token(monkeypatch):
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    with pytest.raises(ConfigError, match="other machines can connect: expected a token"):
        open_source("http://0.0.0.0:0/readings", **XY)
    with open_source("http://0.0.0.0:0/readings?token_env=DEVICE_TOKEN", **XY) as source:
        assert source.port
    with open_source("http://:0/readings", **XY) as source, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", source.port))


def test_tls(device, tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    mine = authority.issue("gateway", "IP:127.0.0.1")
    context = ssl.create_default_context(cafile=authority.cert)
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    options = {"cert": str(mine.cert), "key": str(mine.key), "token_env": "DEVICE_TOKEN"}
    with Reading("127.0.0.1:0/readings", **options) as reading:
        with connected(reading.port) as mute:  # hangs in its handshake
            one = device(reading.port, context)
            for _ in range(3):
                answer = one.post("/readings/w1", b"1,2", Authorization="Bearer s3cret")
                assert answer == (202, {"taken": 1})
            large = b"1,2\n" * 50_000
            answer = one.post("/readings/w1", large, Authorization="Bearer s3cret")
            assert answer == (202, {"taken": 50_000})
            assert not raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202")  # no TLS
            with pytest.raises(ssl.SSLError):
                device(reading.port, ssl.create_default_context()).post("/readings/w1", b"1,2")
            mute.sendall(b"x")
        wait_for(lambda: reading.faults["refused"])
        began = time.monotonic()
        reading.close()
        assert time.monotonic() - began < 1
    with pytest.raises(ConfigError, match="cert .*none.pem: expected a PEM file .* found No such file"):
        open_source("http://127.0.0.1:0/r", cert=str(tmp_path / "none.pem"), **XY)


def test_a_taken_port_is_a_retry_and_is_free_again_at_once():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Retry, match="the port is taken; another program listens there"):
            open_source(f"http://127.0.0.1:{port}/readings", **XY)
    for _ in range(3):
        with Reading(f"127.0.0.1:{port}/readings") as reading:
            assert raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202")
    with open_source(f"http://127.0.0.1:{port}/readings", **XY) as unread:
        assert unread.port == port
    with open_source(f"http://127.0.0.1:{port}/readings", **XY):
        pass


def test_no_such_address_is_a_retry_and_no_right_to_the_port_is_fatal(monkeypatch):
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(Retry, match="cannot be listened on"):
            open_source(f"http://{host}:0/readings?token_env=DEVICE_TOKEN", **XY)
    if os.geteuid() == 0:
        code = (
            "import os\n"
            "from edge_sdk.sources.http import Source\n"
            "from edge_sdk.errors import Fatal\n"
            "'x'.encode('idna')\n"  # imported before the right to read it is gone
            "os.setuid(65534)\n"
            "try: Source('127.0.0.1:81/readings', rate_hz=50)\n"
            "except Fatal as error: print(error)\n"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert "choose a port above 1023" in said
    else:
        with pytest.raises(Fatal, match="choose a port above 1023"):
            open_source("http://127.0.0.1:81/readings", **XY)


@pytest.mark.parametrize(
    "url", ["http://user@:0/r", "http://127.0.0.1:x/r", "http://a b:0/r", "http://:0/r#x"]
)
def test_a_wrong_url_is_refused(url):
    with pytest.raises(ConfigError):
        open_source(url, **XY)


def test_the_check_before_a_run_listens_to_nothing(monkeypatch):
    def preflight(url):
        plugin, location, options = check_url("sources", url)
        plugin.preflight(location, None, **options)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        preflight(f"http://127.0.0.1:{taken.getsockname()[1]}/readings?rate_hz=50&channels=ax,ay")
    with pytest.raises(ConfigError, match="rate_hz is missing"):
        preflight("http://:8080/readings")
    with pytest.raises(ConfigError, match="other machines can connect"):
        preflight("http://0.0.0.0/readings?rate_hz=50")
    with pytest.raises(ConfigError, match="channels is missing"):
        preflight("http://:8080/readings?rate_hz=50&format=raw")
