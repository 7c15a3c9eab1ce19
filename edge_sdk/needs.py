"""What a pipeline's parts need of the machine: groups, device nodes, files. A service gets no more."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import edge_sdk
from edge_sdk.assembly import name_of
from edge_sdk.errors import ConfigError, printable
from edge_sdk.registry import Url

if TYPE_CHECKING:
    from edge_sdk.pipeline import Pipeline

_HOMES = ("/home/", "/root/", "/run/user/")
_EMPTIED = ("/tmp/", "/var/tmp/")


@dataclass(frozen=True)
class Hardware:
    """What a plug-in that talks to hardware needs.

    Attributes:
        group: that may use it on Debian and Raspberry Pi OS.
        devices: as systemd's DeviceAllow names them; a serial port's come from its name.
        sysfs: it writes to /sys.
        netlink: it asks the kernel which devices there are, and is told of those that come.
    """

    group: str
    devices: tuple[str, ...] = ()
    sysfs: bool = False
    netlink: bool = False


#: By the scheme of the URL. Majors are those of the kernel's devices.txt: at a start before which a driver
#: was never loaded its name means nothing, and what is plugged in later would stay forbidden.
HARDWARE: Final[Mapping[str, Hardware]] = {
    "serial": Hardware("dialout"),
    "mcu": Hardware("dialout"),
    "i2c": Hardware("i2c", ("char-89",)),
    "gpio": Hardware("gpio", ("char-gpiochip",)),
    "iio": Hardware("iio", ("char-iio",), sysfs=True),
    # Sensors and image processors, how they are joined, and the memory for pictures.
    "picamera2": Hardware("video", ("char-81", "char-media", "char-dma_heap"), netlink=True),
}
_PORTS: Final[Mapping[str, tuple[str, ...]]] = {
    "/dev/ttyACM": ("char-166",),
    "/dev/ttyUSB": ("char-188",),
    "/dev/ttyAMA": ("char-204",),
    "/dev/serial/": ("char-166", "char-188"),
}


@dataclass
class Needs:
    """What a service must be allowed, and what a person has to see to.

    Attributes:
        groups: that exist here.
        devices: for DeviceAllow.
        writes: folders outside the service's own that sinks write to.
        variables: of the environment, that options name because they hold a secret.
        sysfs: a source writes to /sys.
        netlink: a source listens to the kernel.
        home: something lies in somebody's home.
        jit: a runtime makes code in memory.
        notes: a line each.
    """

    groups: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    sysfs: bool = False
    netlink: bool = False
    home: bool = False
    jit: bool = False
    notes: list[str] = field(default_factory=list)


def needs_of(pipeline: Pipeline, file: Path, name: str, user: str | None) -> Needs:
    """What a pipeline needs to run as a service.

    Args:
        pipeline: made from the file.
        file: its edgeml.toml.
        name: of the service.
        user: who runs it; None for one that systemd makes up.

    Raises:
        ConfigError: a part needs a terminal.
    """
    config = pipeline.config
    needs = Needs(jit=any("runtime=tensorflow" in model.target for model in config.model))
    reads = {"the configuration": file, "Python": Path(sys.executable), "edgeml": Path(edge_sdk.__file__)}
    reads |= {f"the model {model.file}": file.parent / model.file for model in config.model if model.file}
    parts: list[tuple[str, str, Any]] = [("sources", part.source, part.options) for part in pipeline.sources]
    parts += [("sinks", part.sink, part.options) for part in pipeline.sinks]
    for group, url, given in parts:
        plugin, location, options = pipeline.placed(group, url, given)
        scheme = Url.parse(url).scheme
        is_path = getattr(plugin, "location_is_path", False)
        if scheme == "stdin":
            raise ConfigError("stdin:", expected="a source that a service can read", remedy="post to http:")
        if scheme == "exec":
            needs.notes.append(
                f"{name_of(url)}: the command has the service's rights, and sudo does not work; "
                f"what else it needs: systemctl edit {name}"
            )
        if scheme in HARDWARE:
            _use(needs, scheme, location)
        elif group == "sinks" and is_path:
            _write(needs, name_of(url), Path(location), name, user)
        needs.variables += [options[option] for option in options if option.endswith("_env")]
        values = [line.partition(":")[2].strip() for line in options.get("header", ())]
        needs.variables += [value[1:] for value in values if value.startswith("$")]
        reads |= {
            f"{name_of(url)}: {option}": Path(value)
            for option, value in options.items()
            if isinstance(value, str) and value.startswith("/")
        }
    if isinstance(config.outbox, Mapping) and config.outbox.get("file"):
        _write(needs, "the outbox", file.parent / config.outbox["file"], name, user)
    if needs.variables:
        wanted = " ".join(f"{variable}=…" for variable in needs.variables)
        needs.notes.append(
            f"secrets go into /etc/edgeml/{name}.env, a line each, read by root only: {wanted}"
        )
    needs.notes += _unreadable(reads, needs, user)
    needs.notes = [printable(note) for note in needs.notes]
    return needs


def _use(needs: Needs, scheme: str, location: str) -> None:
    hardware = HARDWARE[scheme]
    devices = hardware.devices or tuple(_ports(location))
    if not devices:  # serial:socket://
        return
    needs.devices += [device for device in devices if device not in needs.devices]
    needs.sysfs |= hardware.sysfs
    needs.netlink |= hardware.netlink
    if hardware.group in needs.groups:
        return
    try:
        grp.getgrnam(hardware.group)
    except KeyError:
        needs.notes.append(
            f"{scheme}: there is no group {hardware.group} here: have a udev rule give the device to one, "
            "and name that in SupplementaryGroups="
        )
    else:
        needs.groups.append(hardware.group)


def _ports(location: str) -> Iterator[str]:
    if location.startswith("/dev/"):
        known = (devices for start, devices in _PORTS.items() if location.startswith(start))
        yield from next(known, (location,))


def _write(needs: Needs, part: str, path: Path, name: str, user: str | None) -> None:
    folder = path.absolute().parent
    own = Path("/var/lib") / name
    if folder == own or own in folder.parents or str(folder) in needs.writes:
        return
    needs.writes.append(str(folder))
    if user is None:
        needs.notes.append(
            f"{part}: a user that systemd makes up owns nothing in {folder}: write to {own}, "
            "or give a --user who may write there"
        )


def _unreadable(reads: Mapping[str, Path], needs: Needs, user: str | None) -> Iterator[str]:
    """What the service could not read; sees, too, whether any of it is in somebody's home."""
    places = {name: {path.absolute(), path.resolve()} for name, path in reads.items()}
    needs.home = any(str(p).startswith(_HOMES) for paths in places.values() for p in paths)
    groups = {grp.getgrnam(group).gr_gid for group in needs.groups}
    number = -1  # nobody's, as the one that systemd makes up
    if user is not None:
        try:
            account = pwd.getpwnam(user)
        except KeyError:
            yield f"there is no user {user} here: sudo useradd --system {user}"
            return
        number, groups = account.pw_uid, groups | set(os.getgrouplist(user, account.pw_gid))
    for name, paths in places.items():
        if any(str(path).startswith(_EMPTIED) for path in paths):
            yield f"{name}: {reads[name]} is in a folder that the service sees empty: move it"
            continue
        closed = next(filter(None, (wall(path, number, groups) for path in sorted(paths))), None)
        if closed is not None and number != 0:
            yield f"{name}: the service's user cannot read {closed}: move it, or give another --user"


def wall(path: Path, user: int, groups: Collection[int]) -> Path | None:
    """The first part of a path that keeps this user out."""
    for part in (*reversed(path.parents), path):
        try:
            facts = part.stat()
        except OSError:
            return part
        shift = 6 if facts.st_uid == user else 3 if facts.st_gid in groups else 0
        if not (facts.st_mode >> shift) & (0o4 if part == path else 0o1):
            return part
    return None
