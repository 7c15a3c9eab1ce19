"""A release over a connection: what the device lacks, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from edge_sdk import errors, ssh
from edge_sdk.closing import Closing
from edge_sdk.deploy.agent import PLACE
from edge_sdk.deploy.archive import archive
from edge_sdk.deploy.manifest import Platform, digest_of
from edge_sdk.deploy.release import Release
from edge_sdk.deploy.store import Store
from edge_sdk.errors import DeviceError, EdgeError, GateError

#: For one answer of the device, s; a small board takes its time over a self-test.
TIMEOUT_S = 900
_CHUNK_BYTES = 1 << 18
_NO_PYTHON = 44
Step = Callable[[Mapping[str, Any]], None]


class Remote(Closing):
    """A device that takes releases, over one connection.

    Args:
        address: of it.

    Raises:
        DeviceError: it cannot be reached, has no Python, or lets the user not become root without a password.
    """

    def __init__(self, address: ssh.Address) -> None:
        self.address = address
        self._connection = ssh.Connection(address)
        try:
            self._send_agent()
            self.facts: dict[str, Any] = self.call("facts")
        except BaseException:
            self.close()
            raise

    @property
    def platform(self) -> Platform:
        """What a release must be made for."""
        return Platform(*(str(self.facts[key]) for key in ("machine", "python", "glibc")))

    def call(
        self, command: str, name: str | None = None, on_step: Step = lambda _: None, **arguments: Any
    ) -> dict[str, Any]:
        """A command of the agent there.

        Raises:
            EdgeError: as there.
            DeviceError: the connection was lost.
        """
        process = self._start(command, name)
        with process:
            with _fed(process) as given:
                given.write(json.dumps(arguments).encode())
            return self._answer(process, on_step)

    def send(self, release: Release, store: Store, on_bytes: Callable[[int, int], None]) -> int:
        """Send the contents that are not there; what came before a cut need not come again.

        Args:
            release: whose.
            store: that has them.
            on_bytes: takes how many bytes have gone, of how many.

        Returns:
            Bytes that were sent.
        """
        total = 0
        manifest = base64.b64encode(release.data).decode()
        while True:  # the listing of a runtime tells what else is missing
            missing = set(self.call("needed", release.manifest.name, manifest=manifest)["missing"])
            sizes = {entry.digest: entry.size for entry in release.entries if entry.digest in missing}
            if len(sizes) < len(missing):
                unknown = len(missing) - len(sizes)
                raise DeviceError(f"{self.address} wants contents that the release has not", found=unknown)
            total += self._pour(sizes, store, on_bytes) if sizes else 0
            if release.manifest.runtime not in missing:
                return total

    def lacks(self, release: Release) -> int:
        """Bytes that `send` would send; where the runtime is not known there yet, at most."""
        manifest = base64.b64encode(release.data).decode()
        missing = set(self.call("needed", release.manifest.name, manifest=manifest)["missing"])
        if release.manifest.runtime in missing:
            return release.bytes
        return sum(
            {entry.digest: entry.size for entry in release.entries if entry.digest in missing}.values()
        )

    def install(self, release: Release, on_step: Step, **options: Any) -> dict[str, Any]:
        """Install what was sent, beside what runs, and switch to it."""
        return self.call(
            "install",
            release.manifest.name,
            on_step,
            manifest=base64.b64encode(release.data).decode(),
            signed=base64.b64encode(release.signed).decode(),
            **options,
        )

    def shell(self, command: str) -> list[str]:
        """The command line that runs something there, as the user that logged in."""
        return self._connection.command(command)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _pour(self, sizes: Mapping[str, int], store: Store, on_bytes: Callable[[int, int], None]) -> int:
        process, sent, total = self._start("receive"), 0, sum(sizes.values())
        with process:
            with _fed(process) as given:
                for digest, size in sizes.items():
                    given.write(f"{digest} {size}\n".encode())
                    with store.path(digest).open("rb") as content:
                        while data := content.read(_CHUNK_BYTES):
                            given.write(data)
                            sent += len(data)
                            on_bytes(sent, total)
            self._answer(process, lambda _: None)
        return sent

    def _start(self, command: str, name: str | None = None) -> subprocess.Popen[bytes]:
        words = ["python3", "-I", str(PLACE), command, *([name] if name else [])]
        return self._remote(f"exec {AS_ROOT} {shlex.join(words)}")

    def _remote(self, command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._connection.command(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ssh.environment(),
            start_new_session=True,
        )

    def _answer(self, process: subprocess.Popen[bytes], on_step: Step) -> dict[str, Any]:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "step" in said:
                on_step(said)
            elif "error" in said:
                raise _error(said).within(self.address)
            elif "result" in said:
                process.wait(TIMEOUT_S)
                return dict(said["result"])
        raise self._failure(process)

    def _failure(self, process: subprocess.Popen[bytes]) -> EdgeError:
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        status = process.wait(TIMEOUT_S)
        if status == ssh.CONNECTION_FAILED:
            return self._connection.failure(said)
        last = said.strip().rpartition("\n")[2]
        for sign, remedy in _FAILURES:
            if sign in said:
                return DeviceError(f"{self.address}: cannot be deployed to", found=last, remedy=remedy)
        return DeviceError(f"{self.address}: no answer", found=last or f"exit status {status}")

    def _send_agent(self) -> None:
        data = archive()
        part = f"{PLACE}.$$.part"  # two that send it at the same time do not meet
        script = (
            f"[ \"$(sha256sum {PLACE} 2>/dev/null | cut -d' ' -f1)\" = {digest_of(data)} ] && exit 0; "
            f"umask 022; trap 'rm -f {part}' EXIT; mkdir -p {PLACE.parent} && head -c {len(data)} > {part} "
            f"&& sync {part} && mv -f {part} {PLACE} && sync {PLACE.parent}"
        )
        process = self._remote(
            f"command -v python3 >/dev/null || exit 44; exec {AS_ROOT} sh -c {shlex.quote(script)}"
        )
        _, said = process.communicate(data, TIMEOUT_S)
        if process.returncode == ssh.CONNECTION_FAILED:
            raise self._connection.failure(said.decode(errors="replace"))
        if process.returncode:
            text = said.decode(errors="replace").strip()
            found = "no program 'python3'" if process.returncode == _NO_PYTHON else text.rpartition("\n")[2]
            remedy = next((remedy for sign, remedy in _FAILURES if sign in found), None)
            raise DeviceError(f"{self.address}: cannot be deployed to", found=found, remedy=remedy)


@contextlib.contextmanager
def _fed(process: subprocess.Popen[bytes]) -> Iterator[IO[bytes]]:
    """Its standard input, closed in the end; where it reads no more, its answer says why."""
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            yield process.stdin
    finally:
        with contextlib.suppress(BrokenPipeError):  # of what is in the buffer still
            process.stdin.close()


#: Root runs as it is; anybody else through sudo, which must not ask.
AS_ROOT = '$([ "$(id -u)" = 0 ] || echo sudo -n)'
_FAILURES = (
    ("a password is required", "let the user become root without one: sudo visudo, or log in as root"),
    ("sudo: not found", "install sudo there, or log in as root"),
    ("sudo: command not found", "install sudo there, or log in as root"),
    ("is not in the sudoers file", "add the user there to the group sudo"),
    ("python3", "install it there: sudo apt install python3"),
    ("No space left", "make room there"),
    ("Read-only file system", "mount it writable: sudo mount -o remount,rw /"),
)


def _error(said: Mapping[str, Any]) -> EdgeError:
    kind = getattr(errors, str(said.get("kind")), DeviceError)
    fits = isinstance(kind, type) and issubclass(kind, EdgeError)
    return (kind if fits else GateError).rebuilt(said["error"])
