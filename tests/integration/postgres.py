"""A real PostgreSQL in a folder of its own, on a free loopback port and a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

#: The user "secret" needs a password, and "tls" an encrypted connection.
_RULES = """\
local all all trust
hostssl all tls 127.0.0.1/32 trust
hostnossl all tls 127.0.0.1/32 reject
host all secret 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_SETTINGS = """\
listen_addresses = '127.0.0.1'
fsync = off
max_connections = 40
shared_buffers = 16MB
timezone = 'UTC'
"""


class Server:
    """One server that can be stopped, killed, frozen and started again on its port."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not programs:
            pytest.fail("needs a database server: apt-get install postgresql")
        self._bin = programs[-1].parent
        self.folder = folder
        self._data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync")
        (self._data / "pg_hba.conf").write_text(_RULES)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS + f"unix_socket_directories = '{folder}'\nport = {self.port}\n")
        self.start()

    def url(self, user: str = "owner", database: str = "postgres") -> str:
        return f"postgres://{user}@127.0.0.1:{self.port}/{database}"

    def query(self, text: str, *values: object) -> list[tuple]:
        """What the owner sees; commits."""
        with self.connected() as database:
            found = database.execute(text, values or None)
            return found.fetchall() if found.description else []

    def connected(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="owner", dbname="postgres", autocommit=True
        )

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*_as_its_user(), str(self._bin / "postgres"), "-D", str(self._data)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connected().close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from error
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT disconnects everybody and stops, SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(30)

    def freeze(self) -> None:
        """Every process of it stops; the kernel still answers for its sockets."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def encrypt(self) -> Path:
        """Switch TLS on, with a certificate for localhost and 127.0.0.1; returns its authority's."""
        authority = self.folder / "ca.crt"
        if not authority.exists():
            _make_certificates(self.folder, self._data)
            owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
            for name in ("server.key", "server.crt"):
                (self._data / name).chmod(0o600)
                if owner:
                    os.chown(self._data / name, owner.pw_uid, owner.pw_gid)
            self.query("ALTER SYSTEM SET ssl = on")
            self.query("SELECT pg_reload_conf()")
            while self.query("SHOW ssl") != [("on",)]:
                time.sleep(0.02)
        return authority

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            with suppress(ProcessLookupError):  # it was ending just then
                os.kill(process, number)

    def _processes(self) -> list[int]:
        assert self._process is not None
        top = self._process.pid
        return [top, *map(int, Path(f"/proc/{top}/task/{top}/children").read_text().split())]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_as_its_user(), str(self._bin / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")


@contextmanager
def running_server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="edgeml-postgres-"))  # another user must reach it: not in tmp_path
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = None
    try:
        server = Server(folder)
        yield server
    finally:
        if server is not None:
            server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


def _as_its_user() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--reset-env", "--"]


def _make_certificates(folder: Path, data: Path) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=edgeml test", "-keyout", "ca.key", "-out", "ca.crt")
    openssl(*new, "-subj", "/CN=localhost", "-keyout", str(data / "server.key"), "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(
        "x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
        "-CAcreateserial", "-extfile", "names", "-out", str(data / "server.crt"),
    )  # fmt: skip
