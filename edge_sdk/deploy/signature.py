"""Who made a release: ed25519 signatures through ``ssh-keygen -Y``, which every system with OpenSSH has.

The user's own SSH key works, also one that only an agent or a security key holds. A device trusts the keys in
one file, in the format of allowed_signers (ssh-keygen(1), ALLOWED SIGNERS).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_sdk import home
from edge_sdk.errors import ConfigError, DeviceError, GateError

#: What a signature is for: one made for e-mail or for git counts nothing here.
NAMESPACE = "edgeml"
#: Whom a trusted key stands for in the file; the key says it all.
_IDENTITY = "edgeml"
_PLAIN = "ssh-ed25519"
_KINDS = (_PLAIN, "sk-ssh-ed25519@openssh.com")
#: Of a plain key, behind its name: its length and itself.
_KEY_BYTES = 4 + 32
_TIMEOUT_S = 60
_LINE = re.compile(r"(\S+) (\S+)(?: (.*))?")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An ed25519 key.

    Attributes:
        kind: ``ssh-ed25519``, or the one of a security key.
        data: base64.
        comment: whose it is.
    """

    kind: str
    data: str
    comment: str = ""

    @classmethod
    def parse(cls, line: str, where: object = "public key") -> PublicKey:
        """From a line such as an ``id_ed25519.pub`` has.

        Raises:
            ConfigError: it is none, or of another kind.
        """
        match = _LINE.fullmatch(line.strip())
        kind, data = (match[1], match[2]) if match else ("", "")
        try:
            raw = base64.b64decode(data, validate=True)
        except binascii.Error:
            raw = b""
        head = len(kind).to_bytes(4, "big") + kind.encode()
        whole = kind != _PLAIN or len(raw) == len(head) + _KEY_BYTES
        if kind not in _KINDS or not raw.startswith(head) or not whole:
            raise ConfigError(
                f"{where}: not an ed25519 key",
                expected="ssh-ed25519 AAAA… NAME",
                found=line.strip()[:60] or "nothing",
                remedy="make one with: edgeml keys new",
            )
        comment = (match[3] or "") if match else ""
        return cls(kind, data, comment if comment.isprintable() else "")

    @classmethod
    def read(cls, file: Path) -> PublicKey:
        """From a file.

        Raises:
            ConfigError: it cannot be read, or is none.
        """
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            remedy = "make one with: edgeml keys new"
            raise ConfigError(f"cannot read {file}", found=error.strerror or error, remedy=remedy) from error
        return cls.parse(text, file)

    @property
    def line(self) -> str:
        """As a ``.pub`` file has it."""
        return f"{self.kind} {self.data} {self.comment}".rstrip()


def own_key() -> Path:
    """Where edgeml's own key lies, in the user's configuration."""
    return Path(home.place("config", "signing_key"))


def public_part(key: Path) -> Path:
    """The file of the public key beside a private one; a public one is its own."""
    return key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")


def new_key(file: Path, comment: str) -> PublicKey:
    """Make a key without a passphrase at `file` and `file`.pub; the folder is made, an old one is kept.

    Raises:
        ConfigError: there is a key already.
        DeviceError: it cannot be written.
    """
    if file.exists():
        raise ConfigError(
            f"{file} is there already", expected="a new file", remedy="use it, or another --key"
        )
    if not comment.isprintable():
        raise ConfigError("a key's comment", expected="a text in one line", found=repr(comment)[:60])
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DeviceError(f"cannot make {file.parent}", found=error.strerror or error) from error
    done = _run(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file)])
    if done.returncode:
        raise DeviceError(f"cannot make {file}", found=_said(done))
    return PublicKey.read(public_part(file))


def sign(data: bytes, key: Path) -> bytes:
    """A signature of bytes, as ``ssh-keygen -Y sign`` gives it.

    Args:
        data: what is signed.
        key: a private key, or a public one whose private part an agent holds.

    Raises:
        ConfigError: the key cannot be used.
    """
    done = _run(["-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE], data)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise ConfigError(
            f"cannot sign with {key}",
            found=_said(done),
            remedy="a key with a passphrase works through ssh-agent: ssh-add; a new one: edgeml keys new",
        )
    return done.stdout


def verify(data: bytes, signature: bytes, trusted: Path) -> None:
    """Make sure that one of the trusted keys signed exactly these bytes.

    Args:
        data: what was signed.
        signature: of it.
        trusted: file that `trust` wrote.

    Raises:
        GateError: none of them did.
        DeviceError: there is no such file, or no ssh-keygen.
    """
    if not trusted.exists():
        raise DeviceError(
            f"{trusted} is missing", expected="the keys that may sign", remedy="edgeml keys trust ssh://HOST"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        command = [
            "-Y",
            "verify",
            "-q",
            "-f",
            str(trusted),
            "-I",
            _IDENTITY,
            "-n",
            NAMESPACE,
            "-s",
            str(file),
        ]
        done = _run(command, data)
    if done.returncode:
        raise GateError(
            "the release's signature",
            expected="one of a key that this device trusts",
            found=_said(done) or "another",
            remedy="sign it with a trusted key, or let the device trust this one: edgeml keys trust",
        )


def trusted_keys(file: Path) -> tuple[PublicKey, ...]:
    """The keys in a file that `trust` wrote; none where there is no such file.

    Raises:
        ConfigError: a line is none of ours.
    """
    if not file.exists():
        return ()
    lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return tuple(PublicKey.parse(line.partition(f'namespaces="{NAMESPACE}" ')[2], file) for line in lines)


def allowed_signers(keys: Iterable[PublicKey]) -> str:
    """The text of such a file: each key may sign releases and nothing else."""
    return "".join(f'{_IDENTITY} namespaces="{NAMESPACE}" {key.line}\n' for key in keys)


def _run(arguments: list[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise DeviceError("no program 'ssh-keygen'", remedy="install it: apt install openssh-client")
    try:
        return subprocess.run(
            [program, *arguments],
            input=data,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            # A passphrase cannot be asked for here; an agent can.
            env={**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError("ssh-keygen does not answer", expected=f"within {_TIMEOUT_S} s") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join((done.stderr or done.stdout).decode(errors="replace").split())[:300]
