"""A real ssh server on which nothing may be left."""

from __future__ import annotations

import sys
import tempfile
import venv
from pathlib import Path

import pytest

from tests.integration.ssh_server import Device, running_device
from tests.integration.target_ssh.reach import link, masters, sessions
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_device(tmp_path_factory.mktemp("device")) as device:
        yield device


@pytest.fixture
def device(server: Device, tmp_path, monkeypatch):
    """The server as it was at first; afterwards nothing may be left, on either side."""
    mine = Path(tempfile.mkdtemp(dir="/tmp"))  # short, as the name of a socket must be
    monkeypatch.setenv("EDGEML_SSH_CONFIG", str(server.config))
    monkeypatch.setenv("TMPDIR", str(mine))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield server
    wait_for(lambda: not list(server.temporary.iterdir()))
    wait_for(lambda: not server.workers())
    wait_for(lambda: not sessions(server))
    assert not list(mine.iterdir())
    wait_for(lambda: not masters(mine))
    mine.rmdir()
    server.configure()
    server.trust(server.host_key)
    (server.home / ".bashrc").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Interpreters with nothing, with numpy alone, and with numpy and LiteRT, which is all that is needed."""
    found = {}
    for name, packages in {"nothing": (), "numpy": ("numpy",), "litert": ("numpy", "ai_edge_litert")}.items():
        folder = tmp_path_factory.mktemp(name)
        venv.create(folder, with_pip=False, symlinks=True)
        found[name] = folder / "bin" / "python"
        link(folder / "lib" / f"python3.{sys.version_info[1]}" / "site-packages", *packages)
    return found
