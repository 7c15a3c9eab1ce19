"""A release tries itself out on the device before it may run: see `edge_sdk.deploy.selftest`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from edge_sdk.deploy import systemd
from edge_sdk.deploy.records import Slot
from edge_sdk.deploy.slots import Slots
from edge_sdk.errors import GateError

_SELFTEST_S = 600


def rehearse(slots: Slots, slot: Slot, version: int | None, listen: str = "") -> dict[str, Any]:
    """Have a release try itself out on this device, with its own runtime and as a user without rights.

    Args:
        slots: of the pipeline.
        slot: of the release.
        version: of systemd; None where it is not to run the release.
        listen: where it is to tell its health, ``HOST:PORT``; empty where it knows by itself.

    Returns:
        As `edge_sdk.deploy.selftest.try_out`.

    Raises:
        GateError: it does not work.
    """
    command = ["-m", "edge_sdk.deploy.selftest", str(slot.folder), str(slots.folder / "current")]
    command += [f"app/{slot.manifest.config}", f"edgeml-{slots.name}"]
    command += ["--systemd", str(version)] if version is not None else []
    command += ["--status", listen] if listen else []
    with _unprivileged(slot, systemd.version() is not None) as (prefix, environment):
        try:
            done = subprocess.run(
                [*prefix, sys.executable, *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SELFTEST_S,
                check=False,
                cwd="/",
            )
        except subprocess.TimeoutExpired as error:
            raise GateError("the self-test does not end", expected=f"within {_SELFTEST_S} s") from error
    last = done.stdout.decode(errors="replace").strip().rpartition("\n")[2]
    try:
        said = json.loads(last)
    except ValueError:
        words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        lacking = re.search(r"No module named '(\w+)", words)  # which the release leaves to the system
        raise GateError(
            "the self-test failed",
            expected="a report",
            found=words[:500] or f"status {done.returncode}",
            remedy=f"sudo apt install --no-install-recommends python3-{lacking[1]}" if lacking else None,
        ) from None
    if done.returncode:
        raise GateError.rebuilt({**said, "error": f"self-test: {said.get('error')}"})
    return dict(said)


@contextlib.contextmanager
def _unprivileged(slot: Slot, managed: bool) -> Iterator[tuple[list[str], dict[str, str]]]:
    """What a command begins with so that it has no rights, and its environment."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(slot.runtime.resolve()),
        "EDGEML_RUNTIME": slot.manifest.platform.engine,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    if not managed:
        yield ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"], environment
        return
    rights = ["DynamicUser=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateNetwork=yes"]
    rights += ["NoNewPrivileges=yes", "MemoryMax=75%", "CapabilityBoundingSet="]
    prefix = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
    prefix += [f"--property={right}" for right in rights]
    prefix += [f"--setenv={name}={value}" for name, value in environment.items()]
    yield prefix, dict(os.environ)
