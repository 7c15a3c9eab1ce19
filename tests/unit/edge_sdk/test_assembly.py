from pathlib import Path

import pytest

from edge_sdk import assembly, registry
from edge_sdk.plugins import options_of


def test_files_among_the_options_begin_at_the_folder_of_the_toml(tmp_path):
    (tmp_path / "ca.pem").write_text("")
    url = "postgres://u@h/d?ca=ca.pem&password_file=elsewhere"
    _, _, options = assembly.placed("sinks", url, {}, tmp_path)
    assert options["ca"] == str(tmp_path / "ca.pem")
    assert options["password_file"] == "elsewhere"  # a file that is not there is named as it was written
    assert assembly.placed("sinks", "postgres://u@h/d?ca=system", {}, tmp_path)[2]["ca"] == "system"


@pytest.mark.parametrize("group", ["sources", "sinks"])
def test_what_is_said_to_be_a_file_is_an_option(group):
    for name in registry.builtin_names(group):
        plugin = registry.find(group, name)
        assert set(getattr(plugin, "path_options", ())) <= set(options_of(plugin)), name


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("mqtt://user:secret@broker/plant", "mqtt://broker/plant"),
        ("https://host/hook?token_env=X", "https://host/hook"),
        (
            "https://hooks.example/services/T012/abcdefghijklmnopqrst",
            "https://hooks.example/services/T012/…8f559e15",
        ),
        ("notify:tgram://123:TOKEN/42", "notify:tgram"),
        (print, "print"),
    ],
)
def test_a_part_is_named_without_its_secrets(part, name):
    assert assembly.name_of(part) == name


def test_the_outbox_lies_in_a_services_state_beside_the_file_or_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert assembly.outbox_file(Path("/etc/x"), "press 7", True) == Path("/etc/x/press_7.outbox")
    assert assembly.outbox_file(Path(), "a/../b", False) == tmp_path / "home/edgeml/a_.._b.outbox"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgeml:/var/lib/other")
    assert assembly.outbox_file(Path("/etc/x"), "p", True) == Path("/var/lib/edgeml/p.outbox")
