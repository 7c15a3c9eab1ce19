"""What a device sends is written where one said, and nothing else is."""

import io
import tarfile

import pytest

from edge_sdk.deploy.collection import _skip_greeting, _unpacked
from edge_sdk.errors import DeviceError


def packed(*members):
    """A tar as it comes over a connection: names with contents, or with what they link to."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w|") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
    return tarfile.open(fileobj=io.BytesIO(data.getvalue()), mode="r|")


def unpacked(into, wanted, *members):
    told = []
    with packed(*members) as tar:
        names = list(_unpacked(tar, wanted, into, lambda done, total: told.append((done, total))))
    return names, told


def test_files_come_with_their_folders_and_replace_older_ones(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    members = ("a", b"one"), ("deep/er/b", b"three"), ("empty", b"")
    names, told = unpacked(tmp_path, {"a": 3, "deep/er/b": 5, "empty": 0}, *members)
    assert names == ["a", "deep/er/b", "empty"]
    assert told[-1] == (8, 8)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert (tmp_path / "deep/er/b").read_bytes() == b"three"
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "not-asked-for"])
def test_nothing_is_written_elsewhere(tmp_path, name):
    into = tmp_path / "into"
    wanted = {"a": 1} if name == "not-asked-for" else {"a": 1, name: 1}
    names, _ = unpacked(into, wanted, (name, b"x"), ("a", b"y"))
    assert names == ["a"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


def test_what_has_become_a_link_is_left_out(tmp_path):
    assert unpacked(tmp_path, {"a": 1}, ("a", "/etc/passwd"))[0] == []
    assert list(tmp_path.iterdir()) == []


def test_a_cut_in_a_file_leaves_none(tmp_path):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w|") as tar:
        info = tarfile.TarInfo("a")
        info.size = 5000
        tar.addfile(info, io.BytesIO(b"x" * 5000))
    with (
        tarfile.open(fileobj=io.BytesIO(data.getvalue()[:2000]), mode="r|") as tar,
        pytest.raises(tarfile.TarError),
    ):
        list(_unpacked(tar, {"a": 5000}, tmp_path, lambda done, total: None))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "greeting", [b"", b"motd\n123\nno newline", b"edgeml-files-begin?\n", b"\xff" * 3_000_000]
)
def test_what_a_login_shell_says_is_no_part_of_a_file(greeting):
    stream = io.BytesIO(greeting + b"\nedgeml-files-begin\nthe tar")
    _skip_greeting(stream)
    assert stream.read() == b"the tar"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot be written"):
        unpacked(tmp_path / "file", {"a": 1}, ("a", b"x"))
