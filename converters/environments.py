"""Environments for frameworks that cannot live beside TensorFlow: one virtual environment each.

    edgeml doctor --install onnx

makes one under ``$EDGEML_ENVIRONMENTS`` (by default ``~/.local/share/edgeml/environments``); nothing is ever
installed on the way to something else. Where the packages are importable in the running interpreter, that one
is used. An environment is built beside its place and moved there when it works, so a killed installation
leaves nothing that looks complete.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_sdk.child import Worker
from edge_sdk.errors import DeviceError, MissingExtraError, UnknownNameError, one_line

State = Literal["ok", "missing", "outdated"]
_MARKER = "edgeml.json"


@dataclass(frozen=True, slots=True)
class Environment:
    """What an environment consists of.

    Attributes:
        name: as in ``edgeml doctor --install NAME``.
        purpose: for people.
        packages: modules that must be importable.
        requirements: by Python version, in order of preference, what pip installs; the verified versions.
        size: roughly, for people, once installed.
    """

    name: str
    purpose: str
    packages: tuple[str, ...]
    requirements: Mapping[str, tuple[str, ...]]
    size: str


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
        return sys.executable if _importable_here(find(name)) else str(_interpreter(_folder(name)))
    raise MissingExtraError(f"the environment for {find(name).purpose}", name, remedy=_remedy(name, found))


def worker(name: str, packages: Sequence[str] = ()) -> Worker:
    """A child process with an environment's packages; close it after use.

    Args:
        name: of the environment.
        packages: top-level packages that it finds, besides edge_sdk and converters.

    Raises:
        MissingExtraError: as `python`.
    """
    interpreter = python(name)
    if interpreter == sys.executable:
        return Worker()
    return Worker(interpreter, ["converters", *packages])


def examine(name: str) -> tuple[State, str]:
    """Whether an environment can be used, and in a few words what is there."""
    environment, folder = find(name), _folder(name)
    if _importable_here(environment):
        return "ok", f"for {environment.purpose}, in this interpreter"
    try:
        marker = json.loads((folder / _MARKER).read_text())
        installed, version = list(marker["requirements"]), str(marker["python"])
    except (OSError, ValueError, KeyError, TypeError):
        return "missing", "not installed"
    if not os.access(_interpreter(folder), os.X_OK):
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
    environment, folder = find(name), _folder(name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent / f".{name}.lock"):
            if examine(name)[0] == "ok":
                on_progress(f"{name}: {examine(name)[1]}")
                return python(name)
            for abandoned in folder.parent.glob(f".{name}-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            building = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
            try:
                _build(environment, building, on_progress)
                _move(building, folder)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        if isinstance(error, DeviceError):
            raise
        raise DeviceError(
            f"cannot install {name} in {folder.parent}",
            found=error.strerror or error,
            remedy="name another folder in EDGEML_ENVIRONMENTS",
        ) from error
    on_progress(f"{name}: {examine(name)[1]}")
    return python(name)


def _remedy(name: str, found: str) -> str:
    return f"install it ({find(name).size}) with: {remedy(name)}" + (
        f"; it {found}" if found.startswith("has ") else ""
    )


def _folder(name: str) -> Path:
    given = os.environ.get("EDGEML_ENVIRONMENTS")
    if given:
        return Path(given).absolute() / name
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data).absolute() / "edgeml" / "environments" / name


def _interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def _importable_here(environment: Environment) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in environment.packages)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(environment: Environment, folder: Path, on_progress: Callable[[str], None]) -> None:
    interpreter, version = _suitable(environment)
    requirements = environment.requirements[version]
    on_progress(f"{environment.name}: {' '.join(requirements)} with {interpreter} (about {environment.size})")
    inside = str(_interpreter(folder))
    whole = subprocess.run([interpreter, "-m", "venv", "--clear", str(folder)], capture_output=True)
    if whole.returncode:  # Debian without python3-venv cannot put pip inside
        _run([interpreter, "-m", "venv", "--clear", "--without-pip", str(folder)], environment, on_progress)
    _run([*_installer(inside), "--only-binary=:all:", *requirements], environment, on_progress)
    probe = "import " + ", ".join(environment.packages)
    _run([inside, "-I", "-c", probe], environment, on_progress)
    marker = {"requirements": list(requirements), "python": version}
    (folder / _MARKER).write_text(json.dumps(marker) + "\n")


def _installer(inside: str) -> list[str]:
    """The start of the command that installs into a virtual environment."""
    if subprocess.run([inside, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
        return [inside, "-m", "pip", "install", *options]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", inside]
    raise MissingExtraError("pip", "pip", remedy="install it with: sudo apt-get install python3-venv")


def _suitable(environment: Environment) -> tuple[str, str]:
    """Interpreter and version: this one where it will do as well as any, else the first that is found."""
    here = "{}.{}".format(*sys.version_info)
    best = next(iter(environment.requirements.values()))
    if environment.requirements.get(here) == best:
        return getattr(sys, "_base_executable", sys.executable), here
    for version in environment.requirements:
        for folder in _places():
            found = shutil.which(f"python{version}", path=folder)
            if found and _is(found, version):
                return found, version
    versions = " or ".join(environment.requirements)
    raise MissingExtraError(
        f"the environment for {environment.purpose} needs Python {versions}, which", environment.name,
        remedy=f"install python{next(iter(environment.requirements))} so that it is on the PATH",
    )  # fmt: skip


def _places() -> Iterator[str]:
    """Folders of interpreters: the PATH, and what lies behind the stand-ins that pyenv puts there."""
    for folder in os.get_exec_path():
        yield folder
        if Path(folder).name == "shims":
            yield from sorted(map(str, Path(folder).parent.glob("versions/*/bin")))


def _is(interpreter: str, version: str) -> bool:
    program = "import sys, ssl, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _run(command: list[str], environment: Environment, on_progress: Callable[[str], None]) -> None:
    """Run a step of the installation; its lines are the progress, its last words the error."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=variables
    ) as process:
        assert process.stdout is not None
        try:
            for raw in process.stdout:
                line = raw.decode(errors="replace").strip()
                lines.append(line)
                if line.startswith(("Collecting", "Downloading", "Installing", "Resolved", "Prepared")):
                    on_progress(f"{environment.name}: {line[:160]}")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise DeviceError(
            f"{environment.name} cannot be installed",
            found=_cause(lines) or f"exit status {process.returncode} of {Path(command[0]).name}",
            remedy="check the network and the room on the disk, then try again",
        )


def _cause(lines: list[str]) -> str:
    """The line of a failed step that says why."""
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines if line]
    errors = [line for line in plain if re.match(r"(ERROR|error|\w*Error)\b", line)]
    return one_line(Exception((errors or plain or [""])[-1]))[:300]


def _move(building: Path, folder: Path) -> None:
    """Put a finished environment in its place; interpreters in it are found relative to it."""
    old = building.with_name(building.name + ".old")
    if folder.exists():
        folder.rename(old)
    building.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
