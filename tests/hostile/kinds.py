"""Things of another kind than their name says, and things that are no files."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.hostile import Case, Touch

_SUFFIXES = (".keras", ".h5", ".onnx", ".pt2", ".tflite", ".pt", ".pth", ".pkl", ".ckpt", ".bin", ".xyz", "")
#: More than the memory of any machine that converts models; it takes no room on the disk.
_SPARSE_BYTES = 1 << 40


def cases(seeds: Mapping[str, Path], folder: Path) -> Iterator[Case]:
    """Contents under every suffix, good models under another's, links, pipes, devices."""
    yield from _renamed(seeds, folder)
    yield from _no_files(folder)


def _renamed(seeds: Mapping[str, Path], folder: Path) -> Iterator[Case]:
    evil = pickle.dumps(Touch(folder / "escaped.txt"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("archive/data.pkl", evil)
        members.writestr("archive/version", "3\n")
    contents = {
        "pickle": evil,
        "empty": b"",
        "text": b"import os\n",
        "zeros": bytes(4096),
        "zip": archive.getvalue(),
        "identifier": b"\x1c\0\0\0TFL3" + bytes(64),
        "endless_offsets": b"\xff" * 4 + b"TFL3" + b"\xff" * 4096,
    }
    for suffix in _SUFFIXES:
        for name, content in contents.items():
            path = folder / f"{name}_as{suffix or '_none'}{suffix}"
            path.write_bytes(content)
            yield Case(path.name, path)
    for name, source in seeds.items():
        for suffix in _SUFFIXES[:5]:
            if source.is_file() and source.suffix != suffix:
                path = folder / f"{name}_renamed{suffix}"
                shutil.copy(source, path)
                yield Case(path.name, path)


def _no_files(folder: Path) -> Iterator[Case]:
    os.mkfifo(folder / "fifo.keras")
    (folder / "empty_folder").mkdir()
    (folder / "folder.tflite").mkdir()
    links = {
        "loop.keras": folder / "loop.keras",
        "dangling.keras": folder / "nowhere.keras",
        "device.tflite": Path("/dev/zero"),
        "device.h5": Path("/dev/zero"),
        "passwd.keras": Path("/etc/passwd"),
        "passwd.tflite": Path("/etc/passwd"),
        "process.h5": Path("/proc/self/mem"),
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    for suffix in _SUFFIXES[:5]:
        with (folder / f"sparse{suffix}").open("wb") as file:
            file.truncate(_SPARSE_BYTES)
    (folder / "secret.tflite").touch(mode=0o000)
    names = ["fifo.keras", "empty_folder", "folder.tflite", *links, "nowhere.onnx", "secret.tflite"]
    names += [f"sparse{suffix}" for suffix in _SUFFIXES[:5]]
    names += ["no\nline.keras", "\x1b[2J.keras", "x" * 5000 + ".tflite", "half\udcff.h5"]
    for name in names:
        yield Case(ascii(name[:40]), folder / name)
    for function in (
        "no.such.module:function",
        "os:system",
        "os.path:join",
        "tests.hostile:Touch",
        ":",
        "a:b:c",
    ):
        yield Case(function, Path(function))
