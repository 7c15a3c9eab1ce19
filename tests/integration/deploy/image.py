"""What a virtual Raspberry Pi boots: Debian for its processor, made of packages, none of which is run.

No maintainer script runs here, as each of them would be emulated and take its time: what they would have made
(users, PAM, host keys, enabled services) is written by hand, by tools of this machine that take another root.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.integration.deploy.boards import Board
from tests.integration.deploy.machine import USER, need
from tests.integration.ssh_server import make_key

_PACKAGES = (
    "systemd,systemd-sysv,dbus,openssh-server,openssh-client,python3,sudo,procps,libstdc++6",
    "busybox-static",
)
_DISK = "2G"
_UNUSED = (
    "boot",
    "etc/init.d",
    "usr/lib/modules",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)
#: What would only cost time: there is no terminal, no network to set up, and no device that comes and goes.
_MASKED = (
    "getty.target",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
)
#: Users that packages' scripts would make; Debian's own lie in sysusers.d already.
_USERS = f"""\
u sshd - - /run/sshd
u messagebus - "D-Bus" /nonexistent
u {USER} 1000 "the first user" /home/{USER} /bin/bash
"""
_FILES = {
    "etc/hostname": "device\n",
    "etc/machine-id": f"{1:032x}\n",
    "etc/hosts": "127.0.0.1 localhost device\n",
    "etc/resolv.conf": "",
    f"etc/sudoers.d/{USER}": f"{USER} ALL=(ALL) NOPASSWD: ALL\n",
    "usr/lib/sysusers.d/device.conf": _USERS,
    "etc/pam.d/common-auth": "auth required pam_unix.so nullok\n",
    "etc/pam.d/common-account": "account required pam_unix.so\n",
    "etc/pam.d/common-password": "password required pam_unix.so\n",
    "etc/pam.d/common-session": "session required pam_unix.so\n",
    "etc/pam.d/common-session-noninteractive": "session required pam_unix.so\n",
}
#: The network's only other end is the emulator, which forwards one port and nothing else.
_INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
for module in {modules}; do /bin/busybox insmod /$module.ko; done
/bin/busybox ip link set lo up
/bin/busybox ip addr add 10.0.2.15/24 dev eth0
/bin/busybox ip link set eth0 up
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""


@dataclass(frozen=True)
class Image:
    """Files of a machine that was never on.

    Attributes:
        folder: of them all.
    """

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def key(self) -> Path:
        """That root and the user log in with."""
        return self.folder / "key"

    @property
    def host_key(self) -> Path:
        return self.folder / "host.pub"


def build(folder: Path, board: Board) -> Image:
    """Make the files of a board in a folder; needs root."""
    for program, package in (("mke2fs", "e2fsprogs"), ("cpio", "cpio"), ("qemu-img", "qemu-utils")):
        need(program, package)
    image, root, raw = Image(folder), folder / "root", folder / "disk.raw"
    merged = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
    essential = f"?essential?architecture({board.architecture.name})"
    board.architecture.unpack((essential, *_PACKAGES, board.packages), root, merged)
    shutil.copy(next(root.glob("boot/vmlinuz-*")), image.kernel)
    _pack_initrd(root, board.modules, folder / "early", image.initrd)
    _settle(root, image)
    _run("mke2fs", "-q", "-t", "ext4", "-d", root, raw, _DISK)
    _run("qemu-img", "convert", "-O", "qcow2", raw, image.disk)
    raw.unlink()
    shutil.rmtree(root)
    return image


def _settle(root: Path, image: Image) -> None:
    """What the packages' own scripts would have done."""
    for name in _UNUSED:
        shutil.rmtree(root / name)
    for name, text in _FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    shutil.copy(root / "usr/share/openssh/sshd_config", root / "etc/ssh/sshd_config")
    _run("systemd-sysusers", f"--root={root}")
    _run("systemctl", f"--root={root}", "--quiet", "enable", "ssh.service")
    _run("systemctl", f"--root={root}", "--quiet", "mask", *_MASKED)
    host_key = make_key(root / "etc/ssh/ssh_host_ed25519_key")
    shutil.copy(host_key.with_name(f"{host_key.name}.pub"), image.host_key)
    public = make_key(image.key).with_name("key.pub")
    for home, user in (("root", 0), (f"home/{USER}", 1000)):
        folder = root / home / ".ssh"
        folder.mkdir(parents=True)
        shutil.copy(public, folder / "authorized_keys")
        for path in (folder.parent, folder, folder / "authorized_keys"):
            shutil.chown(path, user, user)
            path.chmod(0o600 if path.is_file() else 0o700)


def _pack_initrd(root: Path, wanted: Iterable[str], early: Path, file: Path) -> None:
    """Just enough to reach the disk: a shell, and modules of the kernel."""
    for name in ("bin", "dev", "root"):
        (early / name).mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", early / "bin/busybox")
    there = {path.stem.replace("-", "_"): path for path in root.glob("usr/lib/modules/*/kernel/**/*.ko")}
    modules = list(dict.fromkeys(_ordered(wanted, there)))
    for name in modules:
        shutil.copy(there[name], early / f"{name}.ko")
    init = early / "init"
    init.write_text(_INIT.format(modules=" ".join(modules)))
    init.chmod(0o755)
    names = "\n".join(path.relative_to(early).as_posix() for path in early.rglob("*"))
    command = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
    packed = subprocess.run(command, input=names.encode(), cwd=early, stdout=subprocess.PIPE, check=True)
    file.write_bytes(packed.stdout)
    shutil.rmtree(early)


def _ordered(names: Iterable[str], there: dict[str, Path]) -> Iterator[str]:
    """Each module after those that it needs, as it says itself."""
    for name in names:
        needs = re.search(rb"\0depends=([^\0]*)\0", there[name].read_bytes())
        yield from _ordered(needs[1].decode().split(",") if needs and needs[1] else (), there)
        yield name


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"
