"""One machine for all tests of deployments, and pipelines to deploy.

It is a container, which boots in a second. EDGEML_MACHINE=vm takes a virtual Raspberry Pi for the same tests,
and vm32 one with a 32-bit system: another processor, a kernel of its own, a memory that a power cut empties,
and an hour.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.deploy import signature
from edge_sdk.deploy.push import Remote
from edge_sdk.ssh import Address
from tests.integration.deploy import container, emulated
from tests.integration.deploy.boards import BOARDS
from tests.integration.deploy.machine import CACHE, USERS_CACHE, Machine
from tests.models import Linear, contract, write_model

full = pytest.mark.skipif(
    os.environ.get("EDGEML_DEPLOY") != "full", reason="waits for a minute or two: set EDGEML_DEPLOY=full"
)
APPS = "/var/lib/edgeml/apps"
SINE = 'url = "synthetic:sine"\nspeed = 1'
#: What is deployed to.
KIND = os.environ.get("EDGEML_MACHINE", "container")
assert KIND in ("container", *BOARDS), KIND


def pytest_collection_modifyitems(items):
    """A machine that boots takes its time, and an emulated one more."""
    emulated = KIND in BOARDS
    for item in items:
        own = item.get_closest_marker("timeout") is not None
        if Path(__file__).parent in item.path.parents and (emulated or not own):
            item.add_marker(pytest.mark.timeout(3600 if emulated else 900))


@pytest.fixture(scope="session")
def machine(request):
    """What is deployed to."""
    if KIND == "container":
        return request.getfixturevalue("contained")
    virtual = request.getfixturevalue("virtual")
    virtual.resume(emulated.BOOTED)
    return virtual


@pytest.fixture(scope="session")
def contained(tmp_path_factory):
    """A container that is up."""
    _require_root()
    with container.booted(tmp_path_factory.mktemp("machine") / "container") as machine:
        yield machine


@pytest.fixture(scope="session")
def virtual(tmp_path_factory, request):
    """A virtual Raspberry Pi, off, the 64-bit one unless one chooses; how long it took to make is told."""
    _require_root()
    board = BOARDS[KIND if KIND in BOARDS else "vm"]

    def say(text: str) -> None:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    with emulated.made(tmp_path_factory.mktemp("machine") / "virtual", board, say) as machine:
        yield machine


def _require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root and systemd-nspawn: run as root, outside a restricted container")


@dataclass
class Desk:
    """Where somebody sits who deploys: a folder with an edgeml.toml, and a key.

    Attributes:
        folder: of the pipeline.
        key: that signs.
        machine: that is deployed to.
        name: of the pipeline there.
    """

    folder: Path
    key: Path
    machine: Machine
    name: str

    @property
    def config(self) -> Path:
        return self.folder / "edgeml.toml"

    @property
    def unit(self) -> str:
        return f"edgeml-{self.name}"

    def write(
        self, source: str = SINE, *, sink: str = "sqlite:events.db", version: str = "1", more: str = ""
    ) -> None:
        """A pipeline with a model of that version."""
        spec = Linear(window=20)
        facts = replace(contract(spec).input, rate_hz=50.0, hop=10)
        write_model(self.folder / "m.tflite", spec, input=facts, version=version)
        self.config.write_text(
            f'device = "press-7"\n{more}\n[model]\nfile = "m.tflite"\n[[source]]\n{source}\n'
            f'[[sink]]\nurl = "{sink}"\n'
        )

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "EDGEML_SSH_CONFIG": str(self.machine.config),
            "XDG_CACHE_HOME": str(CACHE),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(USERS_CACHE / "uv"),
        }

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A command line that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "edge_sdk", *map(str, words)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def edgeml(self, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        """A command line."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=1200)
            except BaseException:
                process.kill()
                raise
        assert process.returncode == status, out + err
        assert "Traceback" not in err
        return subprocess.CompletedProcess(words, status, out, err)

    def words(self, *words: object, window: int | None = 2) -> list[object]:
        """Of an `edgeml deploy`."""
        given = ["--to", self.machine.url, "--key", self.key, "--name", self.name]
        if window is not None:
            given += ["--window", max(window, self.machine.least_window_s)]
        return ["deploy", self.config, *given, *words, "--json"]

    def deploy(self, *words: object, status: int = 0, window: int | None = 2) -> dict[str, Any]:
        """`edgeml deploy`; the object that it printed."""
        said = self.edgeml(*self.words(*words, window=window), status=status)
        told = dict(json.loads(said.stdout))
        if status:  # in one line
            last = said.stderr.strip().splitlines()[-1]
            assert last.startswith("edgeml: "), said.stderr
        return told

    def status(self) -> dict[str, Any]:
        said = self.edgeml("status", self.machine.url, self.name, "--json").stdout
        return dict(json.loads(said)["pipelines"][0])

    def running(self) -> str | None:
        """The version that runs."""
        current = self.status()["current"]
        return None if current is None else str(current["version"])

    def serves(self, version: str) -> bool:
        """Whether the service is up with that version, or comes up with it, seen from inside the device."""
        here = f"{APPS}/{self.name}/current/manifest.json"
        if json.loads(self.machine.ask(f"cat {here}"))["version"] != version:
            return False
        command = f"for i in $(seq 1500); do systemctl is-active {self.unit} && break; sleep 0.2; done"
        return self.machine.ask(command, check=False).split()[-1] == "active"

    @contextmanager
    def remote(self) -> Iterator[Remote]:
        """A connection without the command line."""
        with pytest.MonkeyPatch().context() as patch:
            for name in ("EDGEML_SSH_CONFIG", "XDG_CACHE_HOME", "UV_CACHE_DIR"):
                patch.setenv(name, self.environment()[name])
            with Remote(Address.parse("device")) as remote:
                yield remote


_IS_WHOLE = """
import hashlib, json, sys
from pathlib import Path
root, name = Path("/var/lib/edgeml"), sys.argv[1]
slot = (root / "apps" / name / "current").resolve(strict=True)
facts = json.loads((slot / "manifest.json").read_bytes())
runtime = facts["runtime"]
listing = json.loads((root / "contents" / runtime[:2] / runtime).read_bytes())
files = [(slot / "app", *entry[:2]) for entry in facts["files"]]
files += [(root / "trees" / runtime, *entry[:2]) for entry in listing]
for folder, path, digest in files:
    assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest, path
"""


def is_whole(desk: Desk) -> bool:
    """Whether every file of what runs is as its manifest says."""
    done = desk.machine.run(f"python3 - {desk.name}", _IS_WHOLE.encode())
    return done.returncode == 0 or pytest.fail(done.stderr.decode())


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory):
    key = tmp_path_factory.mktemp("keys") / "signing"
    signature.new_key(key, "tests")
    return key


@contextmanager
def sitting(machine: Machine, key: Path, folder: Path, name: str) -> Iterator[Desk]:
    """A desk, and afterwards nothing of it on the machine."""
    folder.mkdir()
    desk = Desk(folder, key, machine, name)
    desk.write()
    yield desk
    if machine.has(f"{APPS}/{name}"):
        desk.edgeml("remove", machine.url, name)


@pytest.fixture
def desk(machine, signing_key, tmp_path, request):
    name = re.sub(r"[^a-z0-9]+", "-", request.node.originalname)[:40].strip("-")
    with sitting(machine, signing_key, tmp_path / "pipeline", name) as desk:
        yield desk


@pytest.fixture(scope="module")
def serving(machine, signing_key, tmp_path_factory):
    """A desk whose pipeline runs as version ``old``: whatever is tried next, it has to go on."""
    folder = tmp_path_factory.mktemp("serving") / "pipeline"
    with sitting(machine, signing_key, folder, "serving") as desk:
        desk.deploy("--version", "old", window=1)
        yield desk
