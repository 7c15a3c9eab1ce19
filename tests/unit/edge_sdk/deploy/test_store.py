"""Contents are whole or not there."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from edge_sdk.deploy.manifest import digest_of
from edge_sdk.deploy.store import Store, compile_tree, write_durably
from edge_sdk.errors import DeviceError, GateError
from tests.unit.edge_sdk.deploy.releases import entry


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "contents")


def test_a_content_is_kept_under_its_digest(store):
    digest = store.add_bytes(b"weights")
    assert digest == digest_of(b"weights")
    assert digest in store
    assert store.read(digest, 100) == b"weights"


def test_another_content_is_refused_and_leaves_nothing(store):
    with pytest.raises(GateError, match="is not what the release says"):
        store.add(io.BytesIO(b"weights"), digest_of(b"others"), 7)
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_a_cut_is_an_error_and_leaves_nothing(store):
    with pytest.raises(DeviceError, match="expected 7 bytes, found 3"):
        store.add(io.BytesIO(b"wei"), digest_of(b"weights"), 7)
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_only_as_many_bytes_as_belong_to_it_are_read(store):
    stream = io.BytesIO(b"weightslabels")
    store.add(stream, digest_of(b"weights"), 7)
    assert stream.read() == b"labels"


def test_a_damaged_content_is_noticed(store):
    digest = store.add_bytes(b"weights")
    store.path(digest).write_bytes(b"wrong")
    with pytest.raises(DeviceError, match="damaged"):
        store.read(digest, 100)
    with pytest.raises(DeviceError, match="damaged"):
        store.read(store.add_bytes(b"x" * 200), 100)


def test_what_is_missing_is_named_once(store):
    files = [entry("a", b"1"), entry("b", b"1"), entry("c", b"2")]
    store.add_bytes(b"2")
    assert [file.digest for file in store.missing(files)] == [digest_of(b"1")]


def test_a_tree_shares_the_store_s_disk_space_and_keeps_what_may_be_run(store, tmp_path):
    files = [entry("lib/a.py", b"1"), entry("bin/run", b"2")]
    for data in (b"1", b"2"):
        store.add_bytes(data)
    store.lay_out(files, tmp_path / "tree")
    assert (tmp_path / "tree/lib/a.py").samefile(store.path(digest_of(b"1")))
    assert (tmp_path / "tree/bin/run").stat().st_mode & 0o777 == 0o755
    assert store.path(digest_of(b"2")).stat().st_mode & 0o777 == 0o644


def test_sweeping_keeps_what_is_wanted(store):
    kept, gone = store.add_bytes(b"1"), store.add_bytes(b"22")
    (store.folder / kept[:2] / ".x.part").write_bytes(b"333")
    assert store.sweep([entry("a", b"1")]) == 5
    assert kept in store
    assert gone not in store
    assert not list(store.folder.rglob("*.part"))


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "highest"
    write_durably(file, b"1")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(
        DeviceError, match="No space left on device; make room; what runs now was not touched"
    ):
        write_durably(file, b"2")
    assert file.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [file]


def test_a_tree_is_compiled_once_and_what_cannot_be_is_left_alone(store, tmp_path):
    files = {"package/__init__.py": b"VALUE = 7\n", "wrong.py": b"def\n", "data.txt": b"def\n"}
    tree = tmp_path / "tree"
    store.lay_out([entry(path, data) for path, data in files.items() if store.add_bytes(data)], tree)
    compile_tree(tree)
    made = {path.relative_to(tree).as_posix() for path in tree.rglob("*.pyc")}
    assert made == {f"package/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"}
    (tree / "package/__init__.py").write_text("VALUE = 8\n")  # it is not even looked at
    code = f"import sys; sys.path.insert(0, {str(tree)!r}); import package; print(package.VALUE)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True)
    assert done.stdout == b"7\n"


@pytest.mark.parametrize("failure", [None, GateError])
def test_many_contents_share_one_wait_for_the_disk(store, monkeypatch, failure):
    """They have no name before they are on it; those that came whole stay, whatever comes after them."""
    contents, waits = [b"%d" % number for number in range(250)], []

    def wait():
        waits.append(sum(path.suffix != ".part" for path in store.folder.glob("??/*")))

    monkeypatch.setattr(os, "sync", wait)
    with contextlib.suppress(GateError), store.batch() as batch:
        with store.unused() as alone:  # nothing is swept away meanwhile
            assert not alone
        for data in contents:
            batch.add(io.BytesIO(data), digest_of(data), len(data))
        if failure is not None:
            batch.add(io.BytesIO(b"x"), digest_of(b"y"), 1)
    assert waits == [0, 200]
    assert {path.name for path in store.folder.glob("??/*")} == set(map(digest_of, contents))


def test_a_batch_on_a_full_disk_is_one_line(store, monkeypatch):
    monkeypatch.setattr(
        os, "fchmod", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(DeviceError, match="No space left on device; make room"), store.batch() as batch:
        batch.add(io.BytesIO(b"x"), digest_of(b"x"), 1)
    assert not list(store.folder.glob("??/*"))
