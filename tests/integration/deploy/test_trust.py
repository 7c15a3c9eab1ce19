"""Who may put what on a device: docs/security.md, promise by promise."""

import base64
import json
import shlex
import time
from dataclasses import replace

import pytest

from edge_sdk.deploy import release, signature
from edge_sdk.errors import GateError, ModelError
from tests.integration.deploy.waiting import wait_for

pytestmark = pytest.mark.integration
TRUSTED = "/etc/edgeml/trusted_signers"


@pytest.fixture
def other_key(tmp_path):
    signature.new_key(tmp_path / "other", "somebody else")
    return tmp_path / "other"


@pytest.fixture
def made(serving):
    """A release as the host makes one, and a connection to send it over."""
    serving.write(version="next")
    with serving.remote() as remote:
        wish = release.Wish(serving.config, serving.name, "next", 1)
        store = release.host_store()
        made = release.sign(release.make(wish, remote.platform, store, lambda _: None), serving.key)
        remote.send(made, store, lambda sent, total: None)
        yield remote, made


def refuses(remote, made, said, kind=GateError):
    with pytest.raises(kind, match=said):
        remote.install(made, lambda _: None)


def test_what_is_not_signed_by_a_trusted_key_is_not_installed(serving, made, other_key):
    remote, good = made
    refuses(remote, replace(good, signed=b""), "the release's signature")
    refuses(remote, replace(good, signed=b"-----BEGIN SSH SIGNATURE-----\n"), "the release's signature")
    refuses(remote, release.sign(good, other_key), "the release's signature")
    tampered = good.data.replace(b'"window_s": 1', b'"window_s": 2')
    assert tampered != good.data
    refuses(remote, replace(good, data=tampered), "the release's signature")
    assert serving.serves("old")
    assert [each["version"] for each in serving.status()["releases"]] == ["old"]


def test_a_signature_that_was_made_for_something_else_counts_nothing(serving, made, monkeypatch):
    remote, good = made
    monkeypatch.setattr(signature, "NAMESPACE", "git")
    signed = signature.sign(good.data, serving.key)
    refuses(remote, replace(good, signed=signed), "the release's signature")


def test_a_release_for_another_device_or_pipeline_is_refused(serving, made):
    remote, good = made
    here = good.manifest.platform
    for changes, said in (
        ({"platform": replace(here, machine="riscv64")}, "for another device"),
        ({"platform": replace(here, python="3.10")}, "for another device"),
        ({"platform": replace(here, glibc="9.99")}, "for another device"),
        ({"name": "another"}, "of another pipeline"),
    ):
        data = replace(good.manifest, **changes).to_bytes()
        changed = release.sign(replace(good, data=data), serving.key)
        with pytest.raises(GateError, match=said):
            remote.call(
                "install",
                serving.name,
                manifest=base64.b64encode(changed.data).decode(),
                signed=base64.b64encode(changed.signed).decode(),
            )
    assert serving.serves("old")


def test_contents_that_were_changed_on_their_way_are_not_taken(serving, made, tmp_path):
    remote, _ = made
    store = release.Store(tmp_path / "store")
    digest = store.add_bytes(b"the model")
    store.path(digest).write_bytes(b"THE model")
    with pytest.raises(GateError, match="is not what the release says"):
        remote._pour({digest: 9}, store, lambda sent, total: None)
    assert serving.serves("old")


def test_an_older_release_is_not_taken_unless_one_says_so(serving, made):
    remote, good = made
    older = replace(good.manifest, serial=int(time.time()) - 86400)
    old = release.sign(replace(good, manifest=older, data=older.to_bytes()), serving.key)
    refuses(remote, old, "is older than what ran here")
    assert serving.serves("old")


def test_the_first_key_comes_with_the_first_deployment_and_no_other_does(serving, other_key):
    said = serving.edgeml(*serving.words("--key", other_key), status=1)
    assert "the release's signature" in said.stderr
    assert "trusts releases signed with" not in said.stderr
    assert serving.machine.ask(f"cat {TRUSTED}").count("ssh-ed25519") == 1


def test_a_key_is_trusted_until_it_is_not(serving, other_key):
    url = serving.machine.url
    assert "somebody else" in serving.edgeml("keys", "trust", url, "--key", other_key).stdout
    assert serving.machine.ask(f"cat {TRUSTED}").count("ssh-ed25519") == 2
    serving.edgeml("keys", "distrust", url, "--key", other_key.with_suffix(".pub"))
    serving.edgeml("keys", "distrust", url, "--key", other_key.with_suffix(".pub"), status=2)
    assert serving.deploy("--key", other_key, status=1)["error"].endswith("the release's signature")
    # Without any key nothing is taken: the next one who deploys is not the first.
    before = serving.machine.ask(f"cat {TRUSTED}")
    serving.edgeml("keys", "distrust", url, "--key", serving.key)
    try:
        assert serving.deploy(status=1)["error"].endswith("the release's signature")
    finally:
        serving.machine.put(TRUSTED, before)
    assert serving.serves("old")


def test_another_machine_under_the_same_name_gets_nothing(serving, tmp_path):
    machine = serving.machine
    before = machine.known_hosts.read_text()
    signature.new_key(tmp_path / "host", "")
    kind, data = (tmp_path / "host.pub").read_text().split()[:2]
    try:
        machine.known_hosts.write_text(f"device {kind} {data}\n")
        changed = serving.deploy(status=3)
        machine.known_hosts.write_text("")
        unknown = serving.deploy(status=3)
    finally:
        machine.known_hosts.write_text(before)
    assert "the host key is not the known one" in changed["error"]
    assert "the host key is not known" in unknown["error"]


def test_what_is_malformed_is_refused_in_one_line(serving, made):
    remote, _ = made
    with pytest.raises(ModelError, match="not JSON"):
        remote.call("needed", serving.name, manifest=base64.b64encode(b"{").decode())


#: Of the first process with these words in its command line: its user, what it may do, whether it has the
#: network of the machine, and whether it listens anywhere.
RIGHTS = """
import json, os, sys
from pathlib import Path
for process in Path("/proc").glob("[0-9]*"):
    if process.name == str(os.getpid()):
        continue
    try:
        words = (process / "cmdline").read_bytes().split(b"\\0")
        if sys.argv[1].encode() not in words or b"python3" not in words[0]:
            continue
        status = dict(line.split(":\\t", 1) for line in (process / "status").read_text().splitlines())
        sockets = {link.readlink().name for link in (process / "fd").iterdir() if link.is_symlink()}
        lines = [line.split() for name in ("tcp", "tcp6") for line in (process / "net" / name).open()]
        print(json.dumps({
            "user": int(status["Uid"].split()[0]),
            "capabilities": int(status["CapEff"], 16),
            "no_new_privileges": status["NoNewPrivs"].strip() == "1",
            "network": os.stat(process / "ns/net").st_ino == os.stat("/proc/1/ns/net").st_ino,
            "writes": os.access(process / "root/var/lib/edgeml", os.W_OK),
            "listens": any(f"socket:[{line[9]}]" in sockets for line in lines if line[3] == "0A"),
        }))
        break
    except (FileNotFoundError, ProcessLookupError):
        continue
"""


def rights(machine, words):
    """Of a process there, once there is one."""
    script = shlex.quote(RIGHTS)
    return json.loads(wait_for(lambda: machine.ask(f"python3 -I -c {script} {words}", check=False)))


def test_a_release_tries_itself_out_without_rights_and_the_agent_listens_nowhere(serving):
    machine = serving.machine
    with serving.start(*serving.words("--version", "watched", window=4)) as process:
        tried = rights(machine, "edge_sdk.deploy.selftest")
        watches = rights(machine, "watch")
        assert process.wait(600) == 0
    assert tried["user"] != 0
    assert tried | {"user": 1} == {
        "user": 1,
        "capabilities": 0,
        "no_new_privileges": True,
        "network": False,
        "writes": False,
        "listens": False,
    }
    assert (watches["user"], watches["listens"]) == (0, False)
    service = rights(machine, "run")
    assert service["user"] != 0
    assert (service["capabilities"], service["no_new_privileges"], service["writes"]) == (0, True, False)
    serving.edgeml("rollback", machine.url, serving.name)
    assert serving.serves("old")
