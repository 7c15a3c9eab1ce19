"""One machine for all tests of deployments, and a pipeline to deploy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.deploy import signature
from tests.integration.deploy.container import USERS_CACHE, Container, booted
from tests.models import Linear, contract, write_model


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    with booted(tmp_path_factory.mktemp("machine") / "container") as container:
        yield container


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
    machine: Container
    name: str

    @property
    def config(self) -> Path:
        return self.folder / "edgeml.toml"

    def write(self, source: str = 'url = "synthetic:sine"\nspeed = 1', version: str = "1") -> None:
        """A pipeline with a model of that version."""
        spec = Linear(window=20)
        facts = replace(contract(spec).input, rate_hz=50.0, hop=10)
        write_model(self.folder / "m.tflite", spec, input=facts, version=version)
        self.config.write_text(
            f'device = "press-7"\n[model]\nfile = "m.tflite"\n[[source]]\n{source}\n'
            '[[sink]]\nurl = "sqlite:events.db"\n'
        )

    def edgeml(self, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        """A command line."""
        done = subprocess.run(
            [sys.executable, "-m", "edge_sdk", *map(str, words)],
            env={
                **os.environ,
                "EDGEML_SSH_CONFIG": str(self.machine.config),
                "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(USERS_CACHE / "uv"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def deploy(self, *words: object, status: int = 0, window: int = 2) -> dict[str, Any]:
        """`edgeml deploy`; the object that it printed."""
        given = ["--to", self.machine.url, "--key", self.key, "--window", window, "--name", self.name, *words]
        return dict(json.loads(self.edgeml("deploy", self.config, *given, "--json", status=status).stdout))

    def status(self) -> dict[str, Any]:
        said = self.edgeml("status", self.machine.url, self.name, "--json").stdout
        return dict(json.loads(said)["pipelines"][0])

    def running(self) -> str | None:
        """The version that runs."""
        current = self.status()["current"]
        return None if current is None else str(current["version"])


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory):
    key = tmp_path_factory.mktemp("keys") / "signing"
    signature.new_key(key, "tests")
    return key


@pytest.fixture
def desk(machine, signing_key, tmp_path, request):
    folder = tmp_path / "pipeline"
    folder.mkdir()
    name = request.node.originalname.replace("_", "-")[:40].strip("-")
    desk = Desk(folder, signing_key, machine, name)
    desk.write()
    yield desk
    if name in desk.edgeml("status", machine.url).stdout:
        desk.edgeml("remove", machine.url, name)
