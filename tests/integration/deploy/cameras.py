"""A user space with a camera and without hardware: Debian's libcamera, whose virtual pipeline is one.

Picamera2 comes from an index, and Debian's packages of what it needs where there are any: as on a Raspberry
Pi, whose python3-picamera2 Debian lacks.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from edge_sdk.deploy.manifest import Platform
from tests.integration.deploy.container import System
from tests.integration.deploy.machine import cache_to_oneself, need

_SUITE = "trixie"
PLATFORM = Platform(platform.machine(), "3.13", "2.41")
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEBIANS = "python3-libcamera,python3-numpy,python3-pil,python3-piexif,python3-prctl"
_PACKAGES = f"python3,libstdc++6,{_DEBIANS}"
#: Of a machine with a camera that boots; see `prepare`.
SYSTEM = System(_SUITE, _DEBIANS)
_MAIN_ONLY = 'sed -i "/security/d;/updates/d" "$1"/etc/apt/sources.list'
_WHEELS = ("picamera2==0.3.38", "simplejpeg==1.9.0", "videodev2==0.0.4", "av==19.0.2")
#: Of which there is no wheel, and of which nothing is used that was compiled.
_SOURCES = ("pidng==4.0.9",)
_UNUSED = ("usr/share", "var/lib/apt", "var/cache", "boot")
_MOUNTED = ("dev", "proc", "tmp", "tree", "work")
_CHOSEN = {"libblas.so.3": "blas/libblas.so.3", "liblapack.so.3": "lapack/liblapack.so.3"}
#: What it sees: bars, from left to right.
BARS = ("white", "yellow", "cyan", "lime", "magenta", "red", "blue", "black")
SIZE = (640, 480)
_OURS = Path(__file__).with_name("virtual_camera")
_START = """\
set -e
for part in dev proc; do mount --rbind /$part {root}/$part; done
mount -t tmpfs tmpfs {root}/tmp
mount --bind {tree} {root}/tree
mount --bind {work} {root}/work
exec env -i PATH=/usr/sbin:/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 {variables} chroot {root} python3 "$@"
"""
#: libcamera 0.4 does not initialise what its virtual camera says of a frame: with fresh memory that is zeros.
_FRESH = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.perturb=255"
_RUN_S = 120


def run(
    tree: Path, work: Path, words: Sequence[str], *, picamera2: bool = True
) -> subprocess.CompletedProcess[str]:
    """Python in it.

    Args:
        tree: what Python finds its packages in first, as a service does.
        work: the folder ``/work`` there.
        words: of its command line.
        picamera2: whether it is installed.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: Debian's packages are unpacked, and mounts made")
    found = f"PYTHONPATH=/tree{':/camera:/picamera2' if picamera2 else ''} {_FRESH}"
    script = _START.format(root=root(), tree=tree, work=work, variables=found)
    command = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", script, "sh", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_RUN_S, check=False, stdin=subprocess.DEVNULL
    )


def root() -> Path:
    """Its root file system; made when it is not in the cache, in half a minute."""
    ours = [(path.name, path.read_text()) for path in sorted(_OURS.iterdir()) if path.is_file()]
    recipe = (BARS, SIZE, _SUITE, _PACKAGES, _MAIN_ONLY, _WHEELS, _SOURCES, _UNUSED, _MOUNTED, _CHOSEN, ours)
    with cache_to_oneself() as cache:
        made = cache / f"camera-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]}"
        if made.is_dir():
            return made
        need("mmdebstrap", "mmdebstrap")
        need("gcc", "gcc")
        part = made.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        command = ["mmdebstrap", "--quiet", "--variant=extract", f"--keyring={_KEYS}"]
        command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
        command += [f"--include={_PACKAGES}", f"--setup-hook={_MAIN_ONLY}"]
        _run(*command, _SUITE, part)
        for name in _UNUSED:
            shutil.rmtree(part / name, ignore_errors=True)
        for name in _MOUNTED:
            (part / name).mkdir(exist_ok=True)
        libraries = next(part.glob("usr/lib/*-linux-gnu*"))
        for name, chosen in _CHOSEN.items():
            (libraries / name).symlink_to(chosen)
        _install(part)
        part.rename(made)
        return made


def prepare(device: Path) -> None:
    """Give a machine the camera, and the software that Debian has not.

    Args:
        device: its root file system, with Debian's packages of `SYSTEM` in it.
    """
    found, packages = root(), device / "usr/lib/python3/dist-packages"
    shutil.copytree(found / "picamera2", packages, dirs_exist_ok=True, symlinks=True)
    for name in ("camera", "usr/share/libcamera/pipeline"):
        shutil.copytree(found / name, device / name)
    shutil.copy(found / "camera/pykms.py", packages)
    shutil.copy(found / "camera/sitecustomize.py", packages / "virtual_camera.py")
    (packages / "virtual_camera.pth").write_text("import virtual_camera\n")
    shutil.copy(found / "etc/ld.so.preload", device / "etc")
    settings = device / "etc/systemd/system.conf.d/camera.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'[Manager]\nDefaultEnvironment="{_FRESH}"\n')


def _install(root: Path) -> None:
    """Picamera2, and what makes the virtual camera one for it."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--no-deps"]
    uv += ["--target", str(root / "picamera2")]
    names = ["--python-platform", f"{PLATFORM.machine}-manylinux_2_40", "--python-version", PLATFORM.python]
    _run(*uv, *names, "--only-binary", ":all:", *_WHEELS)
    _run(*uv, *_SOURCES)
    shutil.copytree(_OURS, root / "camera", ignore=shutil.ignore_patterns("__pycache__"))
    _paint(root / "camera" / "bars.jpg")
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    _run("gcc", *flags, _OURS / "heap.c", "-o", root / "camera" / "heap.so", "-ldl")
    (root / "etc/ld.so.preload").write_text("/camera/heap.so\n")
    place = root / "usr/share/libcamera/pipeline/virtual"
    place.mkdir(parents=True)
    shutil.copy(_OURS / "virtual.yaml", place)


def _paint(file: Path) -> None:
    """The picture that the camera sees; what it makes of its own moves with each frame."""
    whole, width = Image.new("RGB", SIZE), SIZE[0] // len(BARS)
    for at, colour in enumerate(BARS):
        whole.paste(Image.new("RGB", (width, SIZE[1]), colour), (at * width, 0))
    whole.save(file, quality=95)


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"
