"""One connection to another machine, through the system's OpenSSH.

The user's own configuration, agent, jump hosts and known hosts hold, and nothing is asked: host keys are
always checked, passwords never taken. Commands share one connection (ControlMaster), so that each further
one costs a round trip and no login. The environment variable EDGEML_SSH_CONFIG names another configuration
file than ``~/.ssh/config``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import weakref
from dataclasses import dataclass

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError

#: To be reached and to answer, s.
CONNECT_S = 10.0
#: For keys, agents and jump hosts on top of that, s.
_LOGIN_S = 20.0
#: ``ssh`` ends so when the connection itself failed; anything else is the remote command's own status.
CONNECTION_FAILED = 255
#: Longest folder that leaves room for a socket's name, which a system limits to about 100 bytes.
_LONGEST_FOLDER = 60
#: Neither host nor user may hold what a shell would obey: configuration files hand both to ProxyCommand.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\$?")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\]")
_ALWAYS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "LogLevel": "ERROR",
}
_EXAMPLE = "[USER@]HOST[:PORT], or a host of ~/.ssh/config"


@dataclass(frozen=True)
class Address:
    """Whom to connect to.

    Attributes:
        host: name, address, or alias of the user's configuration.
        user: None leaves it to the configuration.
        port: likewise.
    """

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """From ``[user@]host[:port]``; an IPv6 address stands in brackets.

        Raises:
            ConfigError: it is not that, holds a password, or something that a shell or ssh would obey.
        """
        user, at, place = text.rpartition("@")
        if ":" in user:
            remedy = "set up a key: ssh-copy-id HOST"
            raise ConfigError("ssh: a password in an address", expected=_EXAMPLE, remedy=remedy)
        match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?", place)
        fits = match is not None and _HOST.fullmatch(match[1]) and (not at or _USER.fullmatch(user))
        port = int(match[2]) if match is not None and match[2] else None
        if match is None or not fits or (port is not None and not 0 < port < 1 << 16):
            raise ConfigError("ssh: address", expected=_EXAMPLE, found=repr(text))
        return cls(match[1].strip("[]"), user or None, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")


class Connection(Closing):
    """An open connection; close it, or use it in a ``with`` statement.

    Args:
        address: of the machine.
        connect_s: to be reached and to answer, s.

    Raises:
        DeviceError: no ssh program; host unknown, silent, refusing, or with another key; login refused.
    """

    def __init__(self, address: Address, *, connect_s: float = CONNECT_S) -> None:
        self.address, self._program = address, _program()
        # The socket stands for the user's login, so its folder is for the user alone.
        near = tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="edgeml-ssh-", dir=near if len(near) <= _LONGEST_FOLDER else "/tmp")
        self._socket = os.path.join(folder, "control")  # noqa: PTH118
        self._options = self._common(connect_s)
        self._end = weakref.finalize(self, _hang_up, self._command("-O", "exit"), folder)
        try:
            self._log_in(connect_s)
        except BaseException:
            self.close()
            raise

    def command(self, remote: str) -> list[str]:
        """The command line that runs a shell command there, over this connection; its stdio is the command's.

        Args:
            remote: for the user's login shell there.
        """
        return [*self._command("-o", "ControlMaster=no"), remote]

    def close(self) -> None:
        """End the connection and whatever still runs over it."""
        self._end()

    def failure(self, said: str) -> DeviceError:
        """What ``ssh`` said as it ended with `CONNECTION_FAILED`, in one line."""
        return explain(said, self.address)

    def _common(self, connect_s: float) -> list[str]:
        config = os.environ.get("EDGEML_SSH_CONFIG")
        options = ["-F", config] if config else []
        for name, value in {**_ALWAYS, "ConnectTimeout": f"{max(1, round(connect_s))}"}.items():
            options += ["-o", f"{name}={value}"]
        if self.address.user:
            options += ["-l", self.address.user]
        if self.address.port:
            options += ["-p", str(self.address.port)]
        return [*options, "-S", self._socket.replace("%", "%%"), "-T"]

    def _command(self, *options: str) -> list[str]:
        return [self._program, *self._options, *options, "--", self.address.host]

    def _log_in(self, connect_s: float) -> None:
        # It goes to the background once it is logged in, and stays there while commands run, and a little
        # longer: if this process is killed, nothing has to tell it to go.
        command = self._command("-M", "-f", "-N", "-o", "ControlPersist=10")
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                env=environment(),
            )
            try:
                status = process.wait(connect_s + _LOGIN_S)
            except subprocess.TimeoutExpired as error:
                within = f"within {connect_s + _LOGIN_S:g} s"
                raise DeviceError(f"{self.address}: no login", expected=within) from error
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if status:
                log.seek(0)
                raise self.failure(log.read(1 << 16).decode(errors="replace"))


def interactive(address: Address) -> list[str]:
    """The command line of a terminal there, with the user's own configuration; ssh may ask what it wants."""
    config = os.environ.get("EDGEML_SSH_CONFIG")
    options = ["-F", config] if config else []
    options += ["-l", address.user] if address.user else []
    options += ["-p", str(address.port)] if address.port else []
    return [_program(), *options, "-t", "--", address.host]


def environment() -> dict[str, str]:
    """For ``ssh``: it asks nobody, and says in English what is read here; so does the other machine."""
    return {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}


def explain(said: str, address: Address) -> DeviceError:
    """What ``ssh`` said, as one error.

    Args:
        said: its standard error.
        address: that it was told to connect to.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for sign, what, remedy in _FAILURES:
        for line in lines:
            if sign in line:
                remedy = remedy and remedy.replace("HOST", _by_hand(address))
                return DeviceError(f"{address}: {what}", found=line, remedy=remedy)
    found = lines[-1] if lines else None
    return DeviceError(f"{address}: the connection failed", found=found, remedy=f"try: {_by_hand(address)}")


#: What ssh says, what it means, and what to do; the first that is there counts.
_FAILURES = (
    (
        "HOST IDENTIFICATION HAS CHANGED",
        "the host key is not the known one",
        "find out why; if the system there was installed anew, remove the old key with ssh-keygen -R",
    ),
    (
        "Host key verification failed",
        "the host key is not known",
        "connect once by hand and compare the fingerprint: HOST",
    ),
    ("Permission denied", "login refused", "set up a key, and try it with: HOST"),
    ("Too many authentication failures", "login refused", "name the key in ~/.ssh/config (IdentityFile)"),
    (
        "Could not resolve hostname",
        "no such host",
        "check the name (a Raspberry Pi answers to NAME.local, too), or add it to ~/.ssh/config",
    ),
    ("Connection refused", "connection refused", "is it the right port, and does sshd run there?"),
    ("No route to host", "not reachable", "is it switched on and in this network?"),
    ("Network is unreachable", "not reachable", "is this machine in a network?"),
    ("timed out", "no answer in time", "is it switched on and in this network?"),
    ("not responding", "the connection was lost", "is it still switched on and in this network?"),
    ("Connection closed by", "the connection was closed", "try: HOST"),
    ("Connection reset by", "the connection was closed", "try: HOST"),
    ("Broken pipe", "the connection was lost", "is it still switched on and in this network?"),
    ("configuration option", "ssh refuses its configuration", "correct ~/.ssh/config"),
    ("user config file", "ssh cannot read its configuration", "check the file that EDGEML_SSH_CONFIG names"),
    ("Bad owner or permissions", "ssh refuses its configuration", "give the file to you alone: chmod 600"),
)


def _by_hand(address: Address) -> str:
    user = f"{address.user}@" if address.user else ""
    return "ssh " + (f"-p {address.port} " if address.port else "") + user + address.host


def _program() -> str:
    program = shutil.which("ssh")
    if program is None:
        remedy = "install it: apt install openssh-client"
        raise DeviceError("ssh: targets need the OpenSSH client", found="no program 'ssh'", remedy=remedy)
    return program


def _hang_up(command: list[str], folder: str) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if os.path.exists(os.path.join(folder, "control")):  # noqa: PTH110, PTH118
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=False,
            )
    shutil.rmtree(folder, ignore_errors=True)
