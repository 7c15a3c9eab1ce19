"""Files that a pipeline keeps on a device, back to the host."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from edge_sdk import ssh
from edge_sdk.deploy.manifest import is_safe
from edge_sdk.deploy.push import AS_ROOT, Remote
from edge_sdk.errors import ConfigError, DeviceError, one_line

_CHUNK_BYTES = 1 << 18
#: What comes before the tar; a login shell may have said something of its own before it, in lines of so much.
_BEGIN, _MOST_GREETING = b"edgeml-files-begin", 1 << 20
#: What tar ends with when a file changed while it was read.
_CHANGED = 1


def collect(
    remote: Remote, name: str, pattern: str, into: Path, on_bytes: Callable[[int, int], None]
) -> tuple[list[str], list[str]]:
    """Copy files of a pipeline's state folder; each is whole here or not here.

    Args:
        remote: the device.
        name: of the pipeline.
        pattern: of their paths there, such as ``captured/*``.
        into: folder, made when it is missing; files of the same name are replaced.
        on_bytes: takes how many bytes have come, of how many.

    Returns:
        Their paths in the folder, and of those that were left out: they have names that not every system
        can hold, or were gone when it was their turn.

    Raises:
        ConfigError: no such pipeline, or no file like that.
        DeviceError: the connection was lost, or a file cannot be written.
    """
    told = remote.call("files", name, pattern=pattern)
    wanted = {str(path): int(size) for path, size in told["files"] if is_safe(path)}
    if not told["files"]:
        raise ConfigError(f"{name}: {pattern}", expected=f"files in {told['folder']}", found="none")
    script = f"echo && echo {_BEGIN.decode()} && exec {AS_ROOT} sh -c {shlex.quote(_packing(told))}"
    with tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as log:
        names.write("".join(f"{path}\0" for path in wanted).encode())
        names.seek(0)
        process = subprocess.Popen(
            remote.shell(script),
            stdin=names,
            stdout=subprocess.PIPE,
            stderr=log,
            env=ssh.environment(),
            start_new_session=True,
        )
        with process:
            assert process.stdout is not None
            try:
                _skip_greeting(process.stdout)
                with tarfile.open(fileobj=process.stdout, mode="r|") as packed:
                    came = list(_unpacked(packed, wanted, into, on_bytes))
            except tarfile.TarError as error:
                raise DeviceError(f"{remote.address}: {name}: lost", found=one_line(error)) from error
        if process.returncode not in (0, _CHANGED):
            log.seek(0)
            said = log.read(1 << 16).decode(errors="replace").strip().rpartition("\n")[2]
            raise DeviceError(f"{remote.address}: {name}: lost", found=said or f"status {process.returncode}")
    return came, [str(path) for path, _ in told["files"] if path not in set(came)]


def _packing(told: Mapping[str, Any]) -> str:
    """A command that packs files, run as their owner.

    Whoever took over the service may have put links there since, to what root alone may read.
    """
    words = ["setpriv", f"--reuid={int(told['user'])}", f"--regid={int(told['group'])}"]
    words += ["--clear-groups", "--no-new-privs", "tar", "--create", "--file=-", "--no-recursion", "--null"]
    words += ["--verbatim-files-from", "--files-from=-", "--ignore-failed-read"]
    return f"cd {shlex.quote(str(told['folder']))} && exec {shlex.join(words)}"


def _skip_greeting(stream: IO[bytes]) -> None:
    while (line := stream.readline(_MOST_GREETING)) and line.strip() != _BEGIN:
        continue


def _unpacked(
    packed: tarfile.TarFile, wanted: Mapping[str, int], into: Path, on_bytes: Callable[[int, int], None]
) -> Iterator[str]:
    """Each file as it has come; nothing but what was asked for is written."""
    total, done = sum(wanted.values()), 0
    for member in packed:
        content = packed.extractfile(member) if member.isreg() else None
        if content is None or member.name not in wanted or not is_safe(member.name):
            continue  # it became something else since
        target = into / member.name
        part = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                while data := content.read(_CHUNK_BYTES):
                    file.write(data)
                    done += len(data)
                    on_bytes(done, max(total, done))
            part.replace(target)
        except OSError as error:
            raise DeviceError(f"{target}: cannot be written", found=error.strerror or error) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        yield member.name
