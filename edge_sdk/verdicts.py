"""What is known of model files that were verified before, kept in the user's cache.

A verdict is named after the digest of the whole file, the runtime's version and the processor's features. It
is on the way to a device's first result: nothing is imported here that is not there anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from typing import TYPE_CHECKING, Any

from edge_sdk import home, registry

if TYPE_CHECKING:
    from edge_sdk.contract import Contract


def folder() -> str:
    """Where verdicts are kept."""
    return home.place("cache", "verified")


def place(data: bytes, runtime: str, contract: Contract | None, rules: int) -> str:
    """The path of a verdict, named by all that it depends on.

    Args:
        data: the whole file.
        runtime: name of the runtime that is going to load it.
        contract: that comes from elsewhere, and may settle what the file leaves open.
        rules: edition of what is verified.
    """
    package = registry.find("runtimes", runtime).package
    parts = [hashlib.sha256(data).hexdigest(), runtime, _version(package), _cpu(), str(rules)]
    if contract is not None:
        parts.append(hashlib.sha256(contract.to_json()).hexdigest())
    facts = "\n".join(parts)
    return os.path.join(folder(), hashlib.sha256(facts.encode()).hexdigest())


def recall(path: str) -> dict[str, Any] | None:
    """The verdict kept under this name, or None; a damaged one counts as none."""
    try:
        with open(path, "rb") as file:
            verdict = json.load(file)
        return verdict if {"bytes", "digest", "contract", "labels", "footprint"} <= set(verdict) else None
    except (OSError, ValueError, TypeError):
        return None


def remember(path: str, verdict: dict[str, Any]) -> None:
    """Keep a verdict, where that can be written."""
    from pathlib import Path

    from edge_sdk.modelfile import write_atomic

    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomic(Path(path), json.dumps(verdict).encode())
    except OSError:
        return  # a read-only system verifies at each start


def _version(package: str) -> str:
    """An installed package's version, from its dist-info folder's name: importlib.metadata costs 20 ms."""
    import sys

    stem = package.replace("-", "_").lower() + "-"
    for root in sys.path:
        try:
            names = os.listdir(root or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info") and name.lower().startswith(stem):
                return name[len(stem) : -len(".dist-info")]
    return "unknown"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return platform.machine() + " " + " ".join(line.split())
    except OSError:
        pass
    return platform.machine()
