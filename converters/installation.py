"""Builds a virtual environment beside its place and moves it there when it works.

A killed installation leaves nothing that looks complete: a marker with the requirements is written last.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.errors import DeviceError, MissingExtraError, one_line

#: Requirements and Python version of a complete environment.
MARKER = "edgeml.json"


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


def install(
    environment: Environment,
    folder: Path,
    *,
    is_ready: Callable[[], bool],
    on_progress: Callable[[str], None],
) -> None:
    """Install an environment, unless it is there by now; one process at a time.

    Args:
        environment: what to install.
        folder: where to.
        is_ready: asked once nobody else installs it.
        on_progress: called with one line at each step.

    Raises:
        MissingExtraError: no suitable Python, or nothing to install packages with.
        DeviceError: the packages or the disk cannot be had.
    """
    name = environment.name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent / f".{name}.lock"):
            if is_ready():
                return
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


def interpreter(folder: Path) -> Path:
    """Of a virtual environment."""
    return folder / "bin" / "python"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(environment: Environment, folder: Path, on_progress: Callable[[str], None]) -> None:
    chosen, version = _suitable(environment)
    requirements = environment.requirements[version]
    on_progress(f"{environment.name}: {' '.join(requirements)} with {chosen} (about {environment.size})")
    inside = str(interpreter(folder))
    whole = subprocess.run([chosen, "-m", "venv", "--clear", str(folder)], capture_output=True)
    if whole.returncode:  # Debian without python3-venv cannot put pip inside
        _run([chosen, "-m", "venv", "--clear", "--without-pip", str(folder)], environment, on_progress)
    _run([*_installer(inside), "--only-binary=:all:", *requirements], environment, on_progress)
    probe = "import " + ", ".join(environment.packages)
    _run([inside, "-I", "-c", probe], environment, on_progress)
    marker = {"requirements": list(requirements), "python": version}
    (folder / MARKER).write_text(json.dumps(marker) + "\n")


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
