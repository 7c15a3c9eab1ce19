"""What of a pipeline travels, and what it is called."""

from pathlib import Path

import pytest

from edge_sdk.deploy import release, tree
from edge_sdk.deploy.health import ANY
from edge_sdk.deploy.manifest import Platform, listing
from edge_sdk.deploy.release import files_of, name_of
from edge_sdk.deploy.store import Store
from edge_sdk.errors import ConfigError, EdgeError
from edge_sdk.pipeline import Pipeline
from tests.models import write_model


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "m.tflite")
    return tmp_path


def travels(folder, more="", source='url = "synthetic:sine"', model="m.tflite", top=""):
    config = folder / "edgeml.toml"
    config.write_text(
        f'{top}\n[model]\nfile = "{model}"\n[[source]]\n{source}\n[[sink]]\nurl = "stdout:"\n{more}'
    )
    return files_of(Pipeline.from_config(config), config)


def test_the_file_and_its_model(folder):
    assert travels(folder) == {"edgeml.toml": folder / "edgeml.toml", "m.tflite": folder / "m.tflite"}


def test_whatever_it_is_called_it_travels_as_edgeml_toml(folder):
    config = folder / "press 7.toml"
    config.write_text(
        '[model]\nfile = "m.tflite"\n[[source]]\nurl = "synthetic:sine"\n[[sink]]\nurl = "stdout:"\n'
    )
    assert files_of(Pipeline.from_config(config), config)["edgeml.toml"] == config
    assert name_of(config) == "press-7"


def test_a_recording_that_is_replayed_travels(folder):
    (folder / "data").mkdir()
    (folder / "data/walk.csv").write_text("time_s,ax,ay,az\n0,1,2,3\n")
    assert "data/walk.csv" in travels(folder, source='url = "replay:data/walk.csv"')


@pytest.mark.parametrize("option", ['url = "https://h/x?ca=ca.pem"', 'url = "https://h/x"\nca = "ca.pem"'])
def test_a_certificate_beside_it_travels(folder, option):
    (folder / "ca.pem").write_text("certificate")
    assert "ca.pem" in travels(folder, f"[[sink]]\n{option}\n")
    (folder / "ca.pem").unlink()
    with pytest.raises(EdgeError, match="ca.pem"):
        travels(folder, f"[[sink]]\n{option}\n")


def test_a_certificate_elsewhere_is_the_device_s_own(folder):
    found = travels(folder, '[[sink]]\nurl = "https://h/x"\nca = "/etc/ssl/ca.pem"\n')
    assert set(found) == {"edgeml.toml", "m.tflite"}


def test_results_do_not_travel(folder):
    (folder / "events.db").write_text("old")
    assert "events.db" not in travels(folder, '[[sink]]\nurl = "sqlite:events.db"\n')


def test_a_file_outside_the_folder_is_refused(folder):
    inner = folder / "inner"
    inner.mkdir()
    for model in ("../m.tflite", str(folder / "m.tflite")):
        with pytest.raises(ConfigError, match="which is what travels; put it beside edgeml.toml"):
            travels(inner, model=model)


def test_a_file_that_is_missing_is_refused(folder):
    with pytest.raises(EdgeError, match="none.tflite"):
        travels(folder, model="none.tflite")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("press/edgeml.toml", "press"),
        ("Press_7.toml", "press-7"),
        ("ä.toml", "pipeline"),
        ("x" * 90 + ".toml", "x" * 40),
        ("-a-.toml", "a"),
    ],
)
def test_what_it_is_called(file, name):
    assert name_of(Path("/somewhere") / file) == name


PLATFORM = Platform("aarch64", "3.11", "2.36")


@pytest.fixture
def made(folder, monkeypatch):
    store = Store(folder / "store")
    monkeypatch.setattr(tree, "build", lambda *_, **__: listing([]))

    def made(top="", **wish):
        travels(folder, top=top)
        return release.make(
            release.Wish(folder / "edgeml.toml", **wish), PLATFORM, store, lambda _: None
        ).manifest

    return made


@pytest.mark.parametrize(
    ("top", "health"),
    [
        ("", ANY),
        ('status = "none"', ""),
        ('status = "9500"', "http://127.0.0.1:9500/health"),
        ('status = "10.1.2.3:80"', "http://10.1.2.3:80/health"),
        ('status = "[::1]:9500"', "http://[::1]:9500/health"),
    ],
)
def test_where_it_is_asked_for_its_health(made, top, health):
    assert made(top).health == health


def test_a_port_that_nobody_knows_cannot_be_asked(made):
    with pytest.raises(ConfigError, match="a port that is known before it runs"):
        made('status = "127.0.0.1:0"')


def test_what_a_device_would_refuse_is_refused_here(made):
    with pytest.raises(EdgeError, match="name"):
        made(name="Press 7")
    with pytest.raises(EdgeError, match="version"):
        made(version="a b")
    assert made(name="press-7", version="1.0-rc.1+x").version == "1.0-rc.1+x"
