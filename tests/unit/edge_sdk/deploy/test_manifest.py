"""A manifest says what it is, and nothing in it leads out of its folder."""

import json

import pytest

from edge_sdk.deploy.manifest import Manifest, listing, read_listing
from edge_sdk.errors import ModelError
from tests.unit.edge_sdk.deploy.releases import RUNTIME, entry, manifest


def test_it_comes_back_and_the_same_release_gives_the_same_bytes():
    release = manifest(3)
    assert Manifest.from_bytes(release.to_bytes()) == release
    assert manifest(3).to_bytes() == release.to_bytes() != manifest(4).to_bytes()


def test_a_listing_comes_back_sorted():
    files = [entry(path, data) for path, data in RUNTIME.items()]
    assert read_listing(listing(files)) == tuple(sorted(files))
    assert listing(files) == listing(reversed(files))


def changed(**changes):
    facts = json.loads(manifest().to_bytes())
    return json.dumps({**facts, **changes}).encode()


D = "0" * 64


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        "",
        ".",
        "a\\b",
        "a\0b",
        "a\nb",
        "x" * 300,
        "a/./b",
        7,
        None,
    ],
)
def test_a_path_that_leads_out_is_refused(path):
    with pytest.raises(ModelError, match="path"):
        Manifest.from_bytes(changed(files=[[path, D, 1, False]]))
    with pytest.raises(ModelError, match="path"):
        read_listing(json.dumps([[path, D, 1, False]]).encode())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "schema: expected 1, found 2"),
        ({"name": "../x"}, "name"),
        ({"name": "UPPER"}, "name"),
        ({"name": "press-trial"}, "neither -trial nor -recover"),  # what watches another one's release
        ({"name": "x-recover"}, "neither -trial nor -recover"),
        ({"version": "1 0"}, "version"),
        ({"health": "file:///etc/shadow"}, "health"),
        ({"health": "http://a.example/health"}, "health"),
        ({"health": "http://u:p@127.0.0.1:9464/health"}, "health"),
        ({"health": "http://127.0.0.1:9464/health?a=b"}, "health"),
        ({"serial": -1}, "serial"),
        ({"serial": True}, "serial"),
        ({"serial": 1.5}, "serial"),
        ({"serial": 1 << 60}, "serial"),
        ({"runtime": "abc"}, "runtime"),
        ({"platform": None}, "machine"),
        ({"config": "other.toml"}, "config: expected one of its files"),
        ({"files": {}}, "files"),
        ({"files": [["a", D, 1, False], ["a", D, 1, False]]}, "each path once"),
        ({"files": [["a", D, 1, False], ["a/b", D, 1, False]]}, "'a' is both"),
        ({"files": [["a", D[:9], 1, False]]}, r"\[path, sha256, bytes, executable\]"),
        ({"files": [["a", D, -1, False]]}, r"\[path, sha256, bytes, executable\]"),
        ({"files": [["a", D, 1, 1]]}, r"\[path, sha256, bytes, executable\]"),
        ({"files": [["a", D]]}, r"\[path, sha256, bytes, executable\]"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(changes, said):
    with pytest.raises(ModelError, match=said):
        Manifest.from_bytes(changed(**changes))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(ModelError):
        Manifest.from_bytes(data)
