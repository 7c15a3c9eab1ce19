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
from edge_sdk.deploy.store import SPARE_BYTES, Store
from edge_sdk.errors import DeviceError, EdgeError, GateError, Retry

#: For one answer of the device, s; a small board takes its time over a self-test.
TIMEOUT_S = 900
_CHUNK_BYTES = 1 << 18
_NO_PYTHON = 44
#: Of what the agent says; the files that a pipeline keeps may be many.
_LONGEST_LINE = 64 << 20
_FACTS = ("error", "expected", "found", "remedy")
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

    def deliver(
        self,
        release: Release,
        store: Store,
        on_bytes: Callable[[int, int], None],
        on_step: Step,
        **options: Any,
    ) -> tuple[int, dict[str, Any]]:
        """Send what is not there, and install it; once more where something was lost in between.

        Returns:
            Bytes that were sent, and what the agent's ``install`` tells.
        """
        sent = self.send(release, store, on_bytes)
        try:
            return sent, self.install(release, on_step, **options)
        except Retry:
            sent += self.send(release, store, on_bytes)
            return sent, self.install(release, on_step, **options)

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
        """The command line that runs something there, as the user that logged in.

        Args:
            command: for ``sh``, whatever the user's login shell is.
        """
        return self._connection.command(f"exec sh -c {shlex.quote(command)}")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _pour(self, sizes: Mapping[str, int], store: Store, on_bytes: Callable[[int, int], None]) -> int:
        total, free = sum(sizes.values()), int(self.facts["free_bytes"]) - SPARE_BYTES
        if total > free:  # what comes stays there for the next attempt, and would fill it
            what = f"{self.address}: too little room"
            raise DeviceError(what, expected=f"{total:,} bytes", found=f"{free:,}", remedy=_MAKE_ROOM)
        process, sent = self._start("receive"), 0
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
        # A login shell may have said something, and not ended its line.
        return self._remote(f"echo && exec {AS_ROOT} {shlex.join(words)}")

    def _remote(self, command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.shell(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ssh.environment(),
            start_new_session=True,
        )

    def _answer(self, process: subprocess.Popen[bytes], on_step: Step) -> dict[str, Any]:
        assert process.stdout is not None
        while line := process.stdout.readline(_LONGEST_LINE):
            said = _message(line)
            if "step" in said:
                on_step(said)
            elif "error" in said:
                raise _error(said).within(self.address)
            elif isinstance(said.get("result"), dict):
                process.stdout.close()
                self._ended(process)
                return dict(said["result"])
        raise self._failure(process)

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise DeviceError(f"{self.address}: no answer", expected=f"within {TIMEOUT_S} s") from error

    def _failure(self, process: subprocess.Popen[bytes]) -> EdgeError:
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        status = self._ended(process)
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
        try:
            _, said = process.communicate(data, TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise DeviceError(f"{self.address}: no answer", expected=f"within {TIMEOUT_S} s") from error
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
_MAKE_ROOM = "make room there; what runs now was not touched"
_NO_PASSWORD = (
    "let the user become root without one: sudo visudo -f /etc/sudoers.d/edgeml there, with the line "
    "USER ALL=(ALL) NOPASSWD: ALL; or log in as root"
)
_FAILURES = (
    ("a password is required", _NO_PASSWORD),
    ("sudo: not found", "install sudo there, or log in as root"),
    ("sudo: command not found", "install sudo there, or log in as root"),
    ("is not in the sudoers file", "add the user there to the group sudo"),
    ("python3", "install it there: sudo apt install python3"),
    ("No space left", _MAKE_ROOM),
    ("Read-only file system", "mount it writable: sudo mount -o remount,rw /"),
)


def _message(line: bytes) -> dict[str, Any]:
    """What the agent says in a line; empty where a login shell says something of its own."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _error(said: Mapping[str, Any]) -> EdgeError:
    given = said["error"]
    given = given if isinstance(given, dict) else {"error": given}
    facts = {key: None if (text := given.get(key)) is None else str(text) for key in _FACTS}
    kind = getattr(errors, str(said.get("kind")), DeviceError)
    fits = isinstance(kind, type) and issubclass(kind, EdgeError)
    return (kind if fits else GateError).rebuilt(facts)
