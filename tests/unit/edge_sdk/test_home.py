"""A user's files lie where the XDG specification has them, and nowhere by accident."""

import pwd

import pytest

from edge_sdk import home


@pytest.mark.parametrize(
    ("kind", "below"),
    [("cache", ".cache"), ("config", ".config"), ("data", ".local/share"), ("state", ".local/state")],
)
def test_below_the_home_or_where_the_variable_says(monkeypatch, kind, below):
    monkeypatch.setenv("HOME", "/home/anna")
    for value in ("", "a/relative/one"):
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", value)
        assert home.place(kind, "a", "b") == f"/home/anna/{below}/edgeml/a/b"
    monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", "/somewhere")
    assert home.place(kind) == "/somewhere/edgeml"


def test_who_has_no_home_writes_nowhere(monkeypatch):
    """As in a container that runs under a number."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert home.place("cache", "verified") == "/nonexistent/.cache/edgeml/verified"
