"""What the agent takes from a stream, and whom it trusts."""

import base64
import io

import pytest

from edge_sdk.deploy import systemd
from edge_sdk.deploy.agent import Agent
from edge_sdk.deploy.console import lines
from edge_sdk.deploy.manifest import digest_of
from edge_sdk.deploy.slots import Slots
from edge_sdk.errors import ConfigError, DeviceError, GateError
from tests.unit.edge_sdk.deploy.releases import RUNTIME, content, entry, installed, listing, manifest


@pytest.fixture
def agent(tmp_path):
    return Agent(lambda _: None, root=tmp_path / "lib", trusted=tmp_path / "etc" / "trusted_signers")


def stream(*contents):
    return io.BytesIO(b"".join(b"%s %d\n%s" % (digest_of(c).encode(), len(c), c) for c in contents))


def test_contents_come_one_after_another(agent):
    assert agent.receive(stream(b"one", b"", b"three\n")) == {"received": 3}
    assert agent.receive(io.BytesIO(b"")) == {"received": 0}


def test_what_came_before_a_cut_stays(agent):
    whole = stream(b"one", b"two").getvalue()
    with pytest.raises(DeviceError, match="expected 3 bytes, found 2"):
        agent.receive(io.BytesIO(whole[:-1]))
    release = manifest(1)
    missing = agent.needed("press-7", base64.b64encode(release.to_bytes()).decode())["missing"]
    assert release.runtime in missing
    runtime = listing([entry(path, data) for path, data in RUNTIME.items()])
    agent.receive(stream(*content(1).values(), *RUNTIME.values(), runtime))
    assert not agent.needed("press-7", base64.b64encode(release.to_bytes()).decode())["missing"]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\n",
        b"0" * 64 + b" -1\n",
        b"0" * 64 + b" 9999999999999\n",
        b"0" * 63 + b"G 1\nx",
        b"0" * 64 + b" 1",
        b"../../etc/passwd 3\nabc",
        b"\0" * 100_000,
        b"x" * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_a_stream_that_is_none_is_refused(agent, data):
    with pytest.raises(DeviceError, match="the stream of contents: expected DIGEST SIZE"):
        agent.receive(io.BytesIO(data))


def test_another_content_than_was_announced_is_refused(agent):
    with pytest.raises(GateError, match="is not what the release says"):
        agent.receive(io.BytesIO(b"%s 3\nabd" % digest_of(b"abc").encode()))


def test_a_content_that_does_not_fit_is_refused_before_it_comes(agent, monkeypatch):
    monkeypatch.setattr("edge_sdk.deploy.store.room", lambda _: 10)
    with pytest.raises(DeviceError, match="too little room"):
        agent.receive(io.BytesIO(b"0" * 64 + b" 11\n"))


KEYS = tuple(
    "ssh-ed25519 "
    + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32).decode()
    + f" key {number}"
    for number in (1, 2)
)


def test_keys_are_trusted_once_and_until_they_are_not(agent):
    assert agent.facts()["trusted"] is None
    assert agent.trust(KEYS[0]) == agent.trust(KEYS[0].replace("key 1", "renamed"))
    assert agent.trust(KEYS[1])["trusted"] == list(KEYS)
    assert agent.distrust(KEYS[0])["trusted"] == [KEYS[1]]
    with pytest.raises(ConfigError, match="was not trusted"):
        agent.distrust(KEYS[0])
    agent.distrust(KEYS[1])
    assert agent.facts()["trusted"] == []  # which is not what it was at first


def test_what_a_person_wrote_between_the_keys_is_passed_over(agent):
    agent.trust(KEYS[0])
    agent.trusted.write_text(f"# the laptop\n\n{agent.trusted.read_text()}")
    assert agent.facts()["trusted"] == [KEYS[0]]


def test_a_key_of_another_kind_is_not_trusted(agent):
    for line in (
        "ssh-rsa AAAA",
        "",
        "ssh-ed25519 AAAA",
        KEYS[0].replace("ssh-ed25519 ", "ssh-rsa "),
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 31).decode(),
        "a b c d",
    ):
        with pytest.raises(ConfigError, match="not an ed25519 key"):
            agent.trust(line)
    assert not agent.trusted.exists()


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("needed", {"manifest": base64.b64encode(manifest(1).to_bytes()).decode()}),
        ("install", {"manifest": base64.b64encode(manifest(1).to_bytes()).decode(), "signed": ""}),
        ("follow", {"slot": "1-000000000000"}),
        ("watch", {}),
        ("recover", {}),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_touched(agent, tmp_path, command, more):
    with pytest.raises(ConfigError, match="the pipeline's name"):
        getattr(agent, command)("../../etc", **more)
    assert not list(tmp_path.iterdir())


def test_what_nobody_runs_is_gone_back_from_and_not_started(agent, tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    slots = Slots(agent.root, "press-7")
    for serial in (1, 2):
        slots.try_out(installed(slots, serial))
        slots.confirm()
    told = agent.rollback("press-7")
    assert (told["version"], slots.current.manifest.serial, slots.trial) == ("1.1", 1, None)
    assert told["run"].startswith("mkdir -p /var/lib/edgeml-press-7 && ")
    assert lines(agent.status()["pipelines"][0])[0] == "press-7  1.1  not under systemd"
    with pytest.raises(ConfigError, match="press-7: no service: .*; end the process that you started"):
        agent.stop("press-7")


def test_a_service_is_not_left_behind_by_a_release_without_one(agent, tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    (tmp_path / "edgeml-press-7.service").symlink_to("anywhere")
    with pytest.raises(ConfigError, match="press-7: --service none: expected none, found a service"):
        agent.install("press-7", "", "", service="none")


@pytest.mark.parametrize("command", ["status", "rollback", "stop", "files", "remove"])
def test_a_pipeline_that_is_not_there_is_said_by_its_name(agent, command):
    with pytest.raises(ConfigError, match="no pipeline '../../etc' here"):
        getattr(agent, command)("../../etc")
