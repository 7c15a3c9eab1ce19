"""What is said of an address before any database is asked."""

import socket
import sys

import pytest

from edge_sdk import ConfigError, open_sink
from edge_sdk.errors import MissingExtraError, Retry
from edge_sdk.plugins import check_url

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("table", ["", ".", "a.b.c", "runs", "plant.runs", "x" * 64, "a\0b", "ü" * 32])
def test_no_name_for_a_table(table):
    with pytest.raises(ConfigError, match="TABLE or SCHEMA.TABLE"):
        open_sink("postgres://127.0.0.1:1/postgres", table=table)


@pytest.mark.parametrize(
    "url", ["postgres://host:x/db", "postgres://[::1/db", "postgres://u:hunter2@[::1/db"]
)
def test_a_url_that_is_none(url):
    with pytest.raises(ConfigError, match="postgres://USER@HOST:PORT/DATABASE") as caught:
        open_sink(url)
    assert "hunter2" not in str(caught.value)


def test_no_server_is_a_retry():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Retry, match="cannot be written now: found.*refused"):
            open_sink(f"postgres://u@127.0.0.1:{taken.getsockname()[1]}/db")


def test_the_checks_of_edgeml_check_ask_no_server(tmp_path, monkeypatch):
    def check(url, **options):
        plugin, location, checked = check_url("sinks", url, options)
        plugin.preflight(location, None, **checked)

    check("postgres://u@127.0.0.1:1/db", table="a.b", timeout_s=3, create=False)
    for options in ({"table": "runs"}, {"password_env": "EDGEML_NONE"}):
        with pytest.raises(ConfigError):
            check("postgres://u@127.0.0.1:1/db", **options)
    with pytest.raises(Retry, match="no file"):
        check("postgres://u@127.0.0.1:1/db", cert=str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"edgeml-kit\[postgres\]"):
        check("postgres://u@127.0.0.1:1/db")
