"""The runtime of a Raspberry Pi, made here: for its processor, and small enough for its card."""

import struct

import pytest

from edge_sdk.deploy import tree
from edge_sdk.deploy.manifest import Platform, digest_of, read_listing
from edge_sdk.deploy.store import Store
from tests.integration.deploy.machine import CACHE, USERS_CACHE

pytestmark = pytest.mark.integration
_AARCH64 = 0xB7  # EM_AARCH64 of the ELF specification


def test_a_tree_for_a_raspberry_pi(monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(USERS_CACHE / "uv"))
    store, said = Store(CACHE / "edgeml" / "deploy"), []
    listed = tree.build(Platform("aarch64", "3.11", "2.36"), ["mqtt"], store, said.append)
    files = {entry.path: entry for entry in read_listing(listed)}
    assert sum(entry.size for entry in files.values()) <= 130e6
    libraries = [entry for path, entry in files.items() if ".so" in path]
    assert len(libraries) > 10
    for entry in libraries:
        head = store.path(entry.digest).read_bytes()[:20]
        assert head[:4] == b"\x7fELF", entry.path
        assert struct.unpack("<H", head[18:20])[0] == _AARCH64, entry.path
    for needed in ("numpy/__init__.py", "edge_sdk/__init__.py", "paho/mqtt/client.py", "msgspec/__init__.py"):
        assert needed in files

    said.clear()
    again = tree.build(Platform("aarch64", "3.11", "2.36"), ["mqtt"], store, said.append)
    assert (digest_of(again), said) == (digest_of(listed), [])
