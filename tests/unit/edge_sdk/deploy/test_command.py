"""What is wrong with an `edgeml deploy` is said before a device is asked or a runtime is made."""

import json

import pytest

from edge_sdk.cli import main
from edge_sdk.deploy import push, release, signature, tree
from edge_sdk.deploy.manifest import listing
from edge_sdk.errors import DeviceError
from tests.models import Linear, write_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A pipeline, no runtime to be made, and a device that nobody may ask."""
    write_model(tmp_path / "m.tflite", Linear(window=20))
    (tmp_path / "edgeml.toml").write_text(
        'device = "press-7"\n[model]\nfile = "m.tflite"\n[[source]]\nurl = "synthetic:sine"\n'
        '[[sink]]\nurl = "stdout:"\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tree, "build", lambda *_, **__: listing([]))

    def asked(*_):
        raise DeviceError("it was asked")

    monkeypatch.setattr(push, "Remote", asked)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deploy(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["deploy", *map(str, words), "--json"])
    return ended.value.code, json.loads(capsys.readouterr().out)


TO = ("edgeml.toml", "--to", "ssh://pi@raspberrypi")
BUNDLE = ("edgeml.toml", "--bundle", "app.edgeml", "--for", "bookworm-arm64")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.toml", *TO[1:]), "cannot be read"),
        ((*TO, "--name", "Ünï"), "--name"),
        ((*TO, "--name", "press-trial"), "--name"),
        ((*TO, "--name", "x" * 64), "--name"),
        ((*TO, "--version", "a b"), "--version"),
        ((*TO, "--key", "none"), "--key none"),
        ((*TO, "--for", "bookworm-arm64"), "--for"),
        ((*TO, "--bundle", "app.edgeml"), "edgeml deploy"),
        (("edgeml.toml",), "edgeml deploy"),
        ((*BUNDLE, "--allow-older"), "--allow-older"),
        ((*BUNDLE, "--service", "none"), "--service"),
        (BUNDLE[:3], "--bundle"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_what_is_wrong_is_said_at_once(folder, capsys, words, said):
    code, told = deploy(capsys, *words)
    assert code == 2
    assert said in told["error"]
    assert not (folder / "config").exists()
    assert not (folder / "app.edgeml").exists()


def test_a_model_that_is_missing_is_said_at_once(folder, capsys):
    (folder / "m.tflite").unlink()
    code, told = deploy(capsys, *TO)
    assert (code, told["expected"]) == (2, "a file")


def test_what_is_right_is_asked(folder, capsys):
    assert deploy(capsys, *TO) == (
        3,
        {"error": "it was asked", "expected": None, "found": None, "remedy": None},
    )


def test_the_plan_of_a_file_writes_none_and_makes_no_key(folder, capsys):
    code, plan = deploy(capsys, *BUNDLE, "--dry-run")
    assert (code, plan["files"]) == (0, "edgeml.toml, m.tflite")
    assert not (folder / "app.edgeml").exists()
    assert not signature.own_key().exists()


def test_a_log_cannot_control_the_terminal(monkeypatch, capfd):
    class Said:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def call(self, *_):
            return {}

        def shell(self, _):
            return ["printf", r"\033[2J\r\177 done\n\200\n"]

    monkeypatch.setattr(push, "Remote", lambda _: Said())
    with pytest.raises(SystemExit) as ended:
        main(["logs", "ssh://pi@raspberrypi", "press-7"])
    assert ended.value.code == 0
    said = capfd.readouterr().out
    assert "done" in said
    assert said.replace("\n", "").isprintable()


def test_a_release_is_newer_than_what_the_device_has_seen_whatever_the_clock_says(folder, monkeypatch):
    wish = release.Wish(folder / "edgeml.toml")
    platform = release.Platform("aarch64", "3.11", "2.36")
    monkeypatch.setattr(release.time, "time", lambda: 1000.0)  # in 1970

    def serial(**seen):
        return release.make(wish, platform, release.host_store(), lambda _: None, **seen).manifest.serial

    assert serial() == serial(newer_than=999) == 1000
    assert serial(newer_than=4_070_908_800) == 4_070_908_801  # another host's clock was in 2099
