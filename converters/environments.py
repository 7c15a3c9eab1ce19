"""Environments for frameworks that cannot live beside TensorFlow: one virtual environment each.

    edgeml doctor --install onnx

makes one under ``$EDGEML_ENVIRONMENTS`` (by default ``~/.local/share/edgeml/environments``); nothing is ever
installed on the way to something else. Where the packages are importable in the running interpreter, that one
is used.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from converters import installation
from converters.installation import Environment
from edge_sdk import home
from edge_sdk.child import Worker
from edge_sdk.errors import MissingExtraError, UnknownNameError

State = Literal["ok", "missing", "outdated"]

_ONNX2TF_2 = ("onnx2tf==2.6.9",)
_LITERT_TORCH = ("torch==2.13.0", "litert-torch==0.10.0")
ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(
            "onnx",
            "ONNX models",
            ("onnx2tf", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert"),
            # onnx2tf 2 needs Python 3.12; its predecessor brings 2.4 GB with TensorFlow, and reads no LSTM.
            {"3.12": _ONNX2TF_2, "3.13": _ONNX2TF_2, "3.11": ("onnx2tf==1.29.24",)},
            "0.5 GB",
        ),
        Environment(
            "torch",
            "PyTorch models",
            ("torch", "litert_torch", "ai_edge_litert"),
            {"3.11": _LITERT_TORCH, "3.12": _LITERT_TORCH, "3.13": _LITERT_TORCH},
            "2.1 GB",
        ),
    )
}


def find(name: str) -> Environment:
    """The environment of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in ENVIRONMENTS:
        raise UnknownNameError("environment", name, ENVIRONMENTS)
    return ENVIRONMENTS[name]


def python(name: str) -> str:
    """The interpreter that has an environment's packages.

    Raises:
        MissingExtraError: it is not installed, or was installed for another version of edgeml.
    """
    state, found = examine(name)
    if state == "ok":
        return (
            sys.executable if _importable_here(find(name)) else str(installation.interpreter(folder_of(name)))
        )
    raise MissingExtraError(f"the environment for {find(name).purpose}", name, remedy=_remedy(name, found))


def worker(name: str, packages: Sequence[str] = (), *, memory_bytes: int | None = None) -> Worker:
    """A child process with an environment's packages; close it after use.

    Args:
        name: of the environment.
        packages: top-level packages that it finds, besides edge_sdk and converters.
        memory_bytes: what it may allocate; None for no limit.

    Raises:
        MissingExtraError: as `python`.
    """
    interpreter = python(name)
    if interpreter == sys.executable:
        return Worker(memory_bytes=memory_bytes)
    return Worker(interpreter, ["converters", *packages], memory_bytes=memory_bytes)


def examine(name: str) -> tuple[State, str]:
    """Whether an environment can be used, and in a few words what is there."""
    environment, folder = find(name), folder_of(name)
    if _importable_here(environment):
        return "ok", f"for {environment.purpose}, in this interpreter"
    try:
        marker = json.loads((folder / installation.MARKER).read_text())
        installed, version = list(marker["requirements"]), str(marker["python"])
    except (OSError, ValueError, KeyError, TypeError):
        return "missing", "not installed"
    if not os.access(installation.interpreter(folder), os.X_OK):
        return "outdated", f"its Python {version} is gone"
    if tuple(installed) not in environment.requirements.values():
        return "outdated", f"has {', '.join(installed)}"
    return "ok", f"for {environment.purpose}, Python {version}, {folder}"


def remedy(name: str) -> str:
    """The command that installs an environment."""
    return f"edgeml doctor --install {name}"


def install(name: str, on_progress: Callable[[str], None]) -> str:
    """Install an environment, unless it is there; what was there before stays until the new one works.

    Args:
        name: of the environment.
        on_progress: called with one line at each step.

    Returns:
        Path of its interpreter.

    Raises:
        MissingExtraError: no suitable Python, or nothing to install packages with.
        DeviceError: the packages or the disk cannot be had.
    """
    installation.install(
        find(name), folder_of(name), is_ready=lambda: examine(name)[0] == "ok", on_progress=on_progress
    )
    on_progress(f"{name}: {examine(name)[1]}")
    return python(name)


def _remedy(name: str, found: str) -> str:
    return f"install it ({find(name).size}) with: {remedy(name)}" + (
        f"; it {found}" if found.startswith("has ") else ""
    )


def folder_of(name: str) -> Path:
    """Where an environment lies, whether it is there or not."""
    given = os.environ.get("EDGEML_ENVIRONMENTS")
    if given:
        return Path(given).absolute() / name
    return Path(home.place("data", "environments", name))


def _importable_here(environment: Environment) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in environment.packages)
