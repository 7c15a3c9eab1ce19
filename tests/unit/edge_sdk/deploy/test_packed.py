"""A release in one file is believed only as far as its signature goes."""

import contextlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile

import pytest

from edge_sdk.deploy import bundles, packed, release, signature
from edge_sdk.deploy.agent import Agent, main
from edge_sdk.deploy.archive import archive, sources
from edge_sdk.deploy.manifest import Entry, Platform
from edge_sdk.deploy.signature import PublicKey
from edge_sdk.deploy.store import Store
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, GateError, UnknownNameError
from tests.unit.edge_sdk.deploy.releases import RUNTIME, content, entry, listing, manifest

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: apt install openssh-client"
)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "key"
    signature.new_key(file, "tests")
    return file


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    runtime = listing([entry(path, data) for path, data in RUNTIME.items()])
    for data in (*content(1).values(), *RUNTIME.values(), runtime):
        store.add_bytes(data)
    return store


@pytest.fixture
def made(key):
    wanted = manifest(1)
    runtime = listing([entry(path, data) for path, data in RUNTIME.items()])
    entries = [entry(path, data) for path, data in {**content(1), **RUNTIME}.items()]
    entries.append(Entry("runtime", wanted.runtime, len(runtime)))
    return release.sign(release.Release(wanted, wanted.to_bytes(), b"", tuple(entries)), key)


@pytest.fixture
def bundle(made, store, key, tmp_path):
    file = tmp_path / "app.edgeml"
    bundles.write(made, store, PublicKey.read(signature.public_part(key)).line, file)
    return file


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """A device on which nothing is installed; what may happen there is all before its own install."""
    monkeypatch.setattr(packed.os, "geteuid", lambda: 0)
    agent = Agent(lambda _: None, root=tmp_path / "lib", trusted=tmp_path / "etc" / "trusted_signers")
    monkeypatch.setattr(agent, "facts", lambda: {"machine": "aarch64", "python": "3.11", "glibc": "2.36"})

    monkeypatch.setattr("edge_sdk.deploy.agent.systemd.version", lambda: 252)

    def install(name, *_, **options):
        return {"installed": name, "run": "", **options}

    monkeypatch.setattr(agent, "install", install)
    return agent


def changed(file, member, data=None):
    """The file with another member, or without it."""
    other = file.with_name("changed.edgeml")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
            elif data is not None:
                new.writestr(name, data)
    return other


def test_the_same_release_gives_the_same_file(bundle, made, store, key):
    again = bundle.with_name("again.edgeml")
    size = bundles.write(made, store, PublicKey.read(signature.public_part(key)).line, again)
    assert again.read_bytes() == bundle.read_bytes()
    assert size == bundle.stat().st_size
    assert sorted(path.name for path in bundle.parent.glob("*.part")) == []


def test_it_brings_all_that_is_needed(bundle, agent, made):
    told = packed.install(bundle, agent, lambda _: None, trust=True, service="none")
    assert told == {"installed": "press-7", "run": "", "service": "none"}
    assert not [name for name in made.entries if name.digest not in Store(agent.root / "contents")]


def test_it_is_not_trusted_because_it_says_so(bundle, agent):
    with pytest.raises(DeviceError, match="edgeml keys trust"):
        packed.install(bundle, agent, lambda _: None)
    signature.new_key(agent.root.parent / "other", "another")
    agent.trust(PublicKey.read(agent.root.parent / "other.pub").line)
    with pytest.raises(GateError, match="the release's signature"):
        packed.install(bundle, agent, lambda _: None, trust=True)  # another is trusted already
    assert not (agent.root / "contents").exists()


@pytest.mark.parametrize(
    ("member", "data", "said"),
    [
        (packed.MANIFEST, b"{}", "schema"),
        (packed.MANIFEST, manifest(2).to_bytes(), "the release's signature"),
        (packed.SIGNATURE, b"", "the release's signature"),
        (packed.KEY, b"nonsense", "not an ed25519 key"),
        (packed.MANIFEST, None, "not a release"),
        (packed.SIGNATURE, None, "not a release"),
        (packed.CONTENTS + entry("", content(1)["models/m.tflite"]).digest, b"weights 7", "what the release"),
        (packed.CONTENTS + entry("", content(1)["models/m.tflite"]).digest, b"wei", "expected 9 bytes"),
        (packed.CONTENTS + entry("", content(1)["models/m.tflite"]).digest, None, "not a release"),
        (packed.CONTENTS + manifest(1).runtime, b"[]", "what the release says"),
        (packed.CONTENTS + manifest(1).runtime, None, "not a release"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_member_that_was_changed_or_is_missing_is_noticed(bundle, agent, member, data, said):
    with pytest.raises(EdgeError, match=said):
        packed.install(changed(bundle, member, data), agent, lambda _: None, trust=True)


def test_a_manifest_of_any_size_is_not_read(bundle, agent):
    other = changed(bundle, packed.MANIFEST, b" " * ((8 << 20) + 1))
    with pytest.raises(ConfigError, match="at most"):
        packed.install(other, agent, lambda _: None, trust=True)


def test_what_is_no_release_is_said(agent, tmp_path):
    for name, data in (("empty", b""), ("text", b"nonsense"), ("zip", b"PK\5\6" + b"\0" * 18)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DeviceError, match="not a release"):
            packed.install(tmp_path / name, agent, lambda _: None, trust=True)
    with pytest.raises(DeviceError, match="not a release"):
        packed.install(tmp_path / "none", agent, lambda _: None)


def test_only_root_installs(bundle, agent, monkeypatch):
    monkeypatch.setattr(packed.os, "geteuid", lambda: 1000)
    with pytest.raises(DeviceError, match="run it with sudo"):
        packed.install(bundle, agent, lambda _: None)


def test_a_folder_that_cannot_be_written(made, store, tmp_path):
    with pytest.raises(DeviceError, match="cannot be written"):
        bundles.write(made, store, "", tmp_path / "none" / "app.edgeml")
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot be written"):
        bundles.write(made, store, "", tmp_path / "file" / "app.edgeml")


def test_what_it_may_be_for():
    assert bundles.platform("bookworm-arm64") == Platform("aarch64", "3.11", "2.36")
    assert bundles.platform("bookworm-armhf") == Platform("armv7l", "3.11", "2.36")
    with pytest.raises(ConfigError, match="--for"):
        bundles.platform(None)
    with pytest.raises(UnknownNameError, match="bookworm-arm64"):
        bundles.platform("bookworm-arm46")


def test_how_it_ended():
    told = {"version": "2", "verdict": "refused", "reason": "it ended", "running": {"version": "1"}}
    with pytest.raises(GateError, match="2 does not work here: found it ended; 1 runs again"):
        packed.conclude(told)
    with pytest.raises(GateError, match="nothing ran here before"):
        packed.conclude({**told, "running": None})
    assert packed.conclude({"version": "2", "verdict": "proving"}) == "2 works"
    assert packed.conclude({"version": "2", "verdict": "good", "run": "this"}) == "run it with: this"


def test_all_of_it_can_be_read_by_its_service_wherever_it_came_from(bundle, agent):
    before = os.umask(0o077)
    try:
        packed.install(bundle, agent, lambda _: None, trust=True)
    finally:
        os.umask(before)
    for path in agent.root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_what_watches_a_release_comes_with_it_and_stays(bundle, agent):
    packed.install(bundle, agent, lambda _: None, trust=True)
    place = agent.root / "agent.pyz"
    assert place.read_bytes() == archive()
    code = f"import sys; sys.path.insert(0, {str(bundle)!r}); "
    code += "from edge_sdk.deploy.archive import archive; sys.stdout.buffer.write(archive())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True)
    made = zipfile.ZipFile(io.BytesIO(done.stdout))  # out of the file itself, where nothing is installed
    assert {name: made.read(name).decode() for name in sources()}.items() == sources().items()


def test_the_agent_that_is_there_takes_it_and_runs_nothing_of_it(tmp_path, monkeypatch, capsys):
    """Its own program is never started: one who changed it would be root."""
    with zipfile.ZipFile(tmp_path / "app.edgeml", "w") as evil:
        evil.writestr("__main__.py", f"open({str(tmp_path / 'pwned')!r}, 'w')")
    monkeypatch.setattr(packed.os, "geteuid", lambda: 0)
    assert main(["take", str(tmp_path / "app.edgeml")]) == 3
    assert "not a release" in capsys.readouterr().err
    assert not (tmp_path / "pwned").exists()


def test_a_key_that_did_not_sign_it_is_not_trusted_with_it(bundle, agent):
    with pytest.raises(GateError, match="the release's signature"):
        packed.install(changed(bundle, packed.SIGNATURE, b""), agent, lambda _: None, trust=True)
    assert not agent.trusted.exists()


def test_damage_is_never_more_than_an_error(bundle, agent, tmp_path):
    good, chance = bundle.read_bytes(), random.Random(1)
    # What is behind the program itself: members, and the list of them at the end.
    places = [chance.randrange(good.rindex(b"PK\1\2"), len(good)) for _ in range(6)]
    places += [chance.randrange(good.index(b"release/contents"), len(good)) for _ in range(10)]
    for place in places:
        damaged = bytearray(good)
        damaged[place] ^= 1 << chance.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        with contextlib.suppress(EdgeError):
            packed.install(tmp_path / "damaged", agent, lambda _: None, trust=True)


def test_a_listing_that_unpacks_to_more_than_any_is_not_unpacked(bundle, agent):
    bomb = changed(bundle, packed.CONTENTS + manifest(1).runtime, b"[" * ((8 << 20) + 1))
    with pytest.raises(ConfigError, match="the runtime's listing: expected at most"):
        packed.install(bomb, agent, lambda _: None, trust=True)


def test_nothing_is_unpacked_where_nobody_would_run_it(bundle, agent, monkeypatch):
    monkeypatch.setattr("edge_sdk.deploy.agent.systemd.version", lambda: None)
    with pytest.raises(DeviceError, match="expected systemd, found another init; --service none"):
        packed.install(bundle, agent, lambda _: None, trust=True)
    assert not (agent.root / "contents").exists()
    packed.install(bundle, agent, lambda _: None, service="none")


def test_nothing_is_unpacked_of_one_for_another_device(bundle, agent, monkeypatch):
    monkeypatch.setattr(agent, "facts", lambda: {"machine": "aarch64", "python": "3.13", "glibc": "2.41"})
    with pytest.raises(GateError, match=r"for another device: expected aarch64, Python 3.11.*takes --for"):
        packed.install(bundle, agent, lambda _: None, trust=True)
    assert not (agent.root / "contents").exists()


def test_an_old_python_is_told_what_it_lacks(bundle):
    code = "import runpy, sys; sys.version_info = (3, 9, 2); "
    code += f"runpy.run_path({str(bundle)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=False)
    assert done.returncode == 3
    assert done.stderr.decode().startswith("edgeml: this device's Python is too old: expected 3.11 or newer")


def test_room_is_asked_for_before_anything_is_unpacked(bundle, agent, monkeypatch):
    monkeypatch.setattr("edge_sdk.deploy.store.room", lambda folder: 5)
    with pytest.raises(DeviceError, match="too little room"):
        packed.install(bundle, agent, lambda _: None, trust=True)
    assert len(list((agent.root / "contents").glob("??/*"))) == 1  # the listing, which says how much it is
