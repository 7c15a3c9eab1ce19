"""Whether a release and a device fit each other, as far as that is known before anything is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sdk.deploy import systemd
from edge_sdk.deploy.manifest import Manifest, numbers
from edge_sdk.errors import DeviceError, GateError


def check_service(service: str) -> None:
    """Make sure that there is who runs a release.

    Raises:
        DeviceError: systemd does not run this machine.
    """
    if service == "systemd" and systemd.version() is None:
        remedy = "--service none installs it and says how to run it"
        raise DeviceError("this device", expected="systemd", found="another init", remedy=remedy)


def check_platform(manifest: Manifest, here: Mapping[str, Any]) -> None:
    """Make sure that a release is for such a device.

    Raises:
        GateError: it is for another one.
    """
    wanted = manifest.platform
    found = f"{here['machine']}, Python {here['python']}, glibc {here['glibc']}"
    fits = wanted.machine == here["machine"] and wanted.python == here["python"]
    if not fits or numbers(wanted.glibc) > numbers(here["glibc"]):
        raise GateError(
            "this release is for another device",
            expected=str(wanted),
            found=found,
            remedy="deploy from the host again, with what this device is: it asks it, or takes --for",
        )
