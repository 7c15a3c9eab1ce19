"""Whether a device can take a release, and what to do where it cannot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from edge_sdk.bench.machine import THROTTLED
from edge_sdk.deploy.manifest import Platform, numbers
from edge_sdk.deploy.packages import from_system
from edge_sdk.deploy.surroundings import Surroundings, unmet
from edge_sdk.findings import Finding, State

_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_GLIBC = (2, 28)
#: 32-bit Arm has one runtime, which was built for one system.
_PYTHONS_32, _GLIBC_32 = ("3.11",), (2, 34)
_MACHINES = ("aarch64", "x86_64", "armv7l")
#: For a runtime, two releases and what they write, bytes.
_LEAST_FREE_BYTES, _LEAST_RAM_BYTES = 400 << 20, 200 << 20
_MOST_SKEW_S = 300


def examine(facts: Mapping[str, Any], wanted: Surroundings | None = None) -> list[Finding]:
    """Every finding about a device.

    Args:
        facts: as the agent tells them.
        wanted: what a pipeline needs there of the system.
    """
    return list(_findings(facts, wanted or Surroundings()))


def _findings(facts: Mapping[str, Any], wanted: Surroundings) -> Iterator[Finding]:
    machine, fits = facts["machine"], facts["machine"] in _MACHINES
    mixed = f" under a {facts['kernel']} kernel" if facts["kernel"] != machine else ""
    board = f"{facts['model']}, " if facts["model"] else ""
    yield Finding(
        "machine",
        "ok" if fits else "missing",
        f"{board}{machine}{mixed}",
        None
        if fits
        else "64-bit user space is needed: Raspberry Pi OS (64-bit) runs on every Pi from the 3 on",
    )
    narrow = machine == "armv7l"
    pythons, least = (_PYTHONS_32, _GLIBC_32) if narrow else (_PYTHONS, _GLIBC)
    python = facts["python"] in pythons
    yield Finding(
        "python",
        "ok" if python else "missing",
        facts["python"],
        None
        if python
        else f"a system with Python {' to '.join(dict.fromkeys((pythons[0], pythons[-1])))}: "
        f"Raspberry Pi OS {'bookworm' if narrow else 'from bookworm on'}",
    )
    libc = facts["glibc"] and numbers(facts["glibc"]) >= least
    yield Finding(
        "glibc",
        "ok" if libc else "missing",
        facts["glibc"] or "another C library",
        None
        if libc
        else f"a Debian from {'bookworm' if narrow else 'buster'} on; the runtime has no build for others",
    )
    for package in sorted(from_system(Platform(machine, facts["python"], facts["glibc"]), wanted.packages)):
        yield _package(package, facts["packages"].get(package), machine)
    yield _least("disk", facts["free_bytes"], _LEAST_FREE_BYTES, "make room", "missing")
    yield _least("memory", facts["ram_bytes"], _LEAST_RAM_BYTES, "a board with more", "warning")
    if facts["read_only"]:
        remedy = "mount it writable for the deployment: sudo mount -o remount,rw /"
        yield Finding("root", "missing", "the file system is read-only", remedy)
    if facts["systemd"] is None:
        remedy = "--service none installs it and says how to run it"
        yield Finding("systemd", "missing", "another init runs this machine", remedy)
    else:
        yield Finding("systemd", "ok", str(facts["systemd"]))
    if not facts["ssh_keygen"]:
        yield Finding("ssh-keygen", "missing", "not there", "sudo apt install openssh-client")
    skew = facts["clock_s"] - time.time()
    late = abs(skew) > _MOST_SKEW_S
    yield Finding(
        "clock",
        "warning" if late else "ok",
        f"{abs(skew):,.0f} s {'behind' if skew < 0 else 'ahead'}" if late else "as here",
        "times will be wrong, and TLS fails, until NTP has set it: timedatectl" if late else None,
    )
    for group in wanted.groups:
        if group not in facts["groups"]:
            yield Finding(
                f"group {group}", "warning", "not there", f"sudo groupadd -r {group}, and a udev rule"
            )
    flags = facts["throttled"]
    if flags is not None:
        now = [text for bit, text in THROTTLED.items() if flags >> bit & 1]
        yield Finding(
            "power",
            "warning" if now else "ok",
            ", ".join(now) or "not throttled",
            "a stronger supply, or a cooler place" if now else None,
        )


def _package(name: str, version: str | None, machine: str) -> Finding:
    """One that the system has to have: it is not sent."""
    if version is None:
        remedy = f"it has to be the system's own: sudo apt install --no-install-recommends python3-{name}"
        return Finding(name, "missing", "not there", remedy)
    if limit := unmet(name, version, machine) if version else "":
        older = f"what pip installed there hides it: sudo pip uninstall --break-system-packages {name}"
        way = older if limit.startswith("<") else "a newer Raspberry Pi OS"
        return Finding(
            name, "missing", version, f"{name}{limit} is needed, and the system has to have it: {way}"
        )
    return Finding(name, "ok", version or "there")


def _least(part: str, found: int, least: int, remedy: str, otherwise: State) -> Finding:
    enough = found >= least
    text = f"{found / 1e6:,.0f} MB" + (" free" if part == "disk" else "")
    remedy = f"{remedy}: {least / 1e6:,.0f} MB are needed"
    return Finding(part, "ok" if enough else otherwise, text, None if enough else remedy)
