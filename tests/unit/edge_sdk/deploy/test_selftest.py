"""A release tries itself out before it may run."""

import os

import pytest

from edge_sdk.deploy import selftest
from edge_sdk.errors import EdgeError
from tests.models import write_model

CHOSEN = os.environ.get("EDGEML_RUNTIME", "litert")


@pytest.fixture
def slot(tmp_path, monkeypatch):
    monkeypatch.setattr(selftest, "LOOP_S", 0.1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "slot" / "app").mkdir(parents=True)
    (tmp_path / "slot" / "runtime").mkdir()
    write_model(tmp_path / "slot" / "app" / "m.tflite")
    return tmp_path / "slot"


def tried(slot, sink='url = "sqlite:events.db"', source='url = "synthetic:sine"', systemd=252, status=None):
    (slot / "app/edgeml.toml").write_text(
        f'[model]\nfile = "m.tflite"\n[[source]]\n{source}\n[[sink]]\n{sink}\n'
    )
    current = slot.parent / "current"
    return selftest.try_out(slot, current, "app/edgeml.toml", "edgeml-x", systemd=systemd, status=status)


def test_its_unit_runs_what_is_current(slot, monkeypatch):
    monkeypatch.setenv("EDGEML_RUNTIME", CHOSEN)
    told = tried(slot, status="127.0.0.1:9465")
    (start,) = [line for line in told["unit"].splitlines() if line.startswith("ExecStart=")]
    assert f"{slot.parent}/current/app/edgeml.toml" in start
    assert start.endswith("--state /var/lib/edgeml-x --status 127.0.0.1:9465")
    assert f"PYTHONPATH={slot.parent}/current/runtime" in told["unit"]
    assert f"\nEnvironment=EDGEML_RUNTIME={CHOSEN}\n" in told["unit"]
    assert str(slot) not in told["unit"]
    assert told["models"]["m.tflite"]["predictions"] > 0


def test_without_systemd_there_is_no_unit(slot):
    assert tried(slot, systemd=None)["unit"] == ""


def test_a_secret_is_known_to_the_service_only(slot, monkeypatch):
    monkeypatch.delenv("EDGEML_TEST_TOKEN", raising=False)
    told = tried(slot, 'url = "https://127.0.0.1:1/x"\ntoken_env = "EDGEML_TEST_TOKEN"')
    assert "EnvironmentFile=-/etc/edgeml/edgeml-x.env" in told["unit"]
    monkeypatch.delenv("EDGEML_TEST_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("sink", "source"),
    [
        ('url = "nonsense:x"', 'url = "synthetic:sine"'),
        ('url = "sqlite:e.db"\nnonsense = 1', 'url = "synthetic:sine"'),
        ('url = "sqlite:e.db"', 'url = "stdin:"'),
        ('url = "sqlite:e.db"', 'url = "synthetic:sine"\nchannels = ["one"]'),
    ],
)
def test_what_is_wrong_is_an_error(slot, sink, source):
    with pytest.raises(EdgeError):
        tried(slot, sink, source)


def test_a_model_that_was_damaged_is_an_error(slot):
    file = slot / "app" / "m.tflite"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EdgeError):
        tried(slot)
