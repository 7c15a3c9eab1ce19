"""Addresses, headers and secrets of a webhook, before anything is sent."""

from email.message import Message

import pytest

from edge_sdk import ConfigError, Retry, open_sink
from edge_sdk.plugins import check_url
from edge_sdk.secret import read_secret
from edge_sdk.sinks._address import Address
from edge_sdk.sinks._connection import Answer
from edge_sdk.sinks._verdict import judge


@pytest.mark.parametrize(
    ("location", "query", "expected"),
    [
        ("host", "", ("host", 443, "/")),
        ("Host.Example:8443/a/b", "", ("host.example", 8443, "/a/b")),
        ("[::1]:80/x", "", ("::1", 80, "/x")),
        ("host/a b/ü", "k=ü&t=a b", ("host", 443, "/a%20b/%C3%BC?k=%C3%BC&t=a%20b")),
        ("host/a%2Fb", "", ("host", 443, "/a%2Fb")),
    ],
)
def test_an_address(location, query, expected):
    address = Address.parse("https", location, query)
    assert (address.host, address.port, address.target) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https:",
        "https:///hook",
        "https://:443/hook",
        "https://host:x/hook",
        "https://host:0/hook",
        "https://host:99999/hook",
        "https://[::1/hook",
        "https://host/a#b",
        "https://ho st/a",
        "https://" + "a" * 70 + "/hook",
        "https://host/hook?batch=0",
        "https://host/hook?batch=1001",
        "https://host/hook?timeout_s=0",
        "https://host/hook?key=x.key",
        "https://host/hook?token_env=NOT_SET_ANYWHERE",
        "https://host/hook?header=no-colon",
        "https://host/hook?header=Host:x",
        "https://host/hook?header=A:$NOT_SET_ANYWHERE",
        "http://host/hook?ca=ca.pem",
    ],
)
def test_a_wrong_url_is_refused(url):
    with pytest.raises(ConfigError) as caught:
        open_sink(url)
    assert "\n" not in str(caught.value)


def test_a_password_in_the_url_is_refused_and_not_shown():
    with pytest.raises(ConfigError) as caught:
        open_sink("https://user:hunter2@host/hook")
    assert "hunter2" not in str(caught.value)


def test_a_header_cannot_smuggle_another():
    with pytest.raises(ConfigError, match="printable ASCII"):
        open_sink("https://host/hook", header=("A: b\r\nHost: x",))


def test_the_check_before_a_run_connects_to_nothing(tmp_path):
    for scheme in ("http", "https"):
        plugin, location, options = check_url("sinks", f"{scheme}://nowhere.invalid/hook?batch=3")
        plugin.preflight(location, None, **options)
        assert plugin.delivery == "outbox"
    with pytest.raises(ConfigError, match=r"missing\.pem: expected a file that this user may read"):
        plugin.preflight("host", None, ca=str(tmp_path / "missing.pem"))


def test_secrets(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("  abc\n")
    assert read_secret("x", file=str(file)) == "abc"
    monkeypatch.setenv("TOKEN", " def ")
    assert read_secret("x", env="TOKEN") == "def"
    assert read_secret("x") == ""
    with pytest.raises(ConfigError, match="named twice"):
        read_secret("x", env="TOKEN", file=str(file))
    monkeypatch.setenv("TOKEN", "a\r\nb")
    with pytest.raises(ConfigError, match="printable"):
        read_secret("x", env="TOKEN")
    for text in (b"", b"\xff\xfe", b"a" * 5000, "ü".encode()):
        file.write_bytes(text)
        with pytest.raises(Retry):
            read_secret("x", file=str(file))


def test_what_a_server_says_is_shown_in_one_line_and_in_part():
    error = judge("https://host:443", Answer(422, Message(), "a\n\x1b[31m" + "b" * 5000))
    assert len(str(error)) < 400
    assert str(error).isprintable()
