"""A release tries itself out on the device before it may run: see `edge_sdk.deploy.selftest`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from edge_sdk.deploy import systemd
from edge_sdk.deploy.records import Slot
from edge_sdk.deploy.slots import Slots
from edge_sdk.errors import GateError

_SELFTEST_S = 600
#: After that nobody is waited for who should have ended it, s.
_LATE_S = 30
#: Of what it says, the end.
_MOST_BYTES, _CHUNK_BYTES = 1 << 20, 1 << 16
_FACTS = ("error", "expected", "found", "remedy")


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
        status, out, err = _run([*prefix, sys.executable, *command], environment)
    try:
        said = _report(_last_line(out), status)
    except (KeyError, ValueError, TypeError, RecursionError):
        words = _last_line(err)
        lacking = re.search(r"No module named '(\w+)", words)  # which the release leaves to the system
        raise GateError(
            "the self-test failed",
            expected="a report",
            found=words[:500] or f"status {status}",
            remedy=f"sudo apt install --no-install-recommends python3-{lacking[1]}" if lacking else None,
        ) from None
    if status:
        raise GateError.rebuilt({**said, "error": f"self-test: {said['error']}"})
    return said


def _report(text: str, status: int) -> dict[str, Any]:
    """What it says of itself, in which nothing is believed.

    Raises:
        KeyError, ValueError, TypeError: it is no report.
    """
    said = dict(json.loads(text))
    if status:
        return {key: None if said.get(key) is None else str(said[key]) for key in _FACTS}
    notes = [str(note) for note in said["notes"]]
    return {"unit": str(said["unit"]), "notes": notes, "models": dict(said["models"])}


def _last_line(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2]


def _run(command: list[str], environment: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Status and the end of what it says, however much that is: what it runs may be anybody's by now.

    Raises:
        GateError: it does not end.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
    )
    end_s = time.monotonic() + _SELFTEST_S + _LATE_S
    said = [b"", b""]
    with process, selectors.DefaultSelector() as ready:
        for which, stream in enumerate((process.stdout, process.stderr)):
            assert stream is not None
            ready.register(stream, selectors.EVENT_READ, which)
        try:
            while ready.get_map() and time.monotonic() < end_s:
                for key, _ in ready.select(1.0):
                    data = os.read(key.fd, _CHUNK_BYTES)
                    if not data:
                        ready.unregister(key.fileobj)
                    said[key.data] = (said[key.data] + data)[-_MOST_BYTES:]
            status = process.wait(max(0.0, end_s - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise GateError("the self-test does not end", expected=f"within {_SELFTEST_S} s") from error
    return status, said[0], said[1]


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
    rights += [f"RuntimeMaxSec={_SELFTEST_S}"]  # also where nobody waits for it any more
    prefix = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
    prefix += [f"--property={right}" for right in rights]
    prefix += [f"--setenv={name}={value}" for name, value in environment.items()]
    yield prefix, dict(os.environ)
