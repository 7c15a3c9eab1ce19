"""``postgres://USER@HOST:PORT/DATABASE`` keeps predictions in a PostgreSQL database."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import select
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, Rejected, Retry, one_line
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.runs import Run
from edge_sdk.secret import read_secret
from edge_sdk.sinks._tables import Table, storable, tables

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

#: Beginnings of SQLSTATEs where the row itself is wrong: data, constraints, size, a trigger that refuses it.
_ROWS_OWN = ("22", "23", "54", "P0001")
#: Everything else may be mended at the server, by a person or by time, while the predictions wait.
_REMEDIES = {
    "25006": "it is a standby, or set to read only; name the one that can be written",
    "28P01": "see password_env and password_file",
    "42501": "GRANT INSERT, SELECT on both tables to this user; to create them it needs CREATE on the schema",
    "42703": "name another table, or add the column",
    "42804": "name another table, or give its columns the types of docs/destinations.md",
    "42P01": "create the table, or let create = true do it",
    "42P10": "the table needs PRIMARY KEY (device, run_id, sequence), and runs (run_id)",
    "3F000": "create the schema",
    "53100": "free some space on the server",
    "57014": "is somebody locking the table?",
}
#: Any number, as long as every edgeml has the same: who creates the tables keeps others from doing so.
_CREATING = 0x65646765
#: More than the server has for a statement, so that its own word comes first where it is awake.
_GRACE_S = 1.0


class Sink(Closing):
    """One row a prediction, one transaction a batch, committed before it counts as delivered.

    The primary key (device, run_id, sequence) makes writing twice harmless. The table ``runs``, beside the
    other one, says which model each run had. Both are created where they are absent. What the URL leaves
    out is taken from libpq's environment variables (PGHOST, PGUSER, PGPASSFILE, …).

    Args:
        location: ``USER@HOST:PORT/DATABASE``; a folder, percent-encoded, in place of the host is the Unix
            socket's; of several hosts, with commas between them, the one that can be written is used.
        table: name of the table of predictions, or ``schema.table``.
        sslmode: as libpq's; default: ``verify-full`` where a `ca` is given, else libpq's own.
        ca: certificates that the server's must be signed with, a file, or ``system``.
        cert: the client's certificate, a file.
        key: its key, a file that only its owner may read.
        password_env: name of the environment variable with the password.
        password_file: file with the password in its first line.
        timeout_s: for the connection (2 s at least) and for a batch, s.
        create: create the tables, and columns that an older version did not have.

    Raises:
        Retry: the server cannot be reached, or does not let this user write. All of that is mended at the
            server, and the predictions wait for it.
    """

    delivery: Delivery = "outbox"
    path_options = ("ca", "cert", "key", "password_file")

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        table: str = "predictions",
        sslmode: SslMode | None = None,
        ca: str = "",
        cert: str = "",
        key: str = "",
        password_env: str = "",
        password_file: str = "",
        timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0,
        create: bool = True,
    ) -> None:
        parameters = _parameters(location, password_env, password_file, sslmode, ca=ca, cert=cert, key=key)
        self._predictions, self._runs = tables(table)
        self._where, self._timeout_s = _where(location), timeout_s
        self._late = False
        import psycopg

        try:
            self._connection = psycopg.connect(
                **parameters,
                autocommit=True,
                prepare_threshold=None,  # a pooler may hand the next statement to another server
                connect_timeout=math.ceil(timeout_s),
                tcp_user_timeout=round((timeout_s + 2 * _GRACE_S) * 1000),
            )
        except psycopg.Error as error:
            raise self._verdict(error) from error
        try:
            self._prepare(create)
        except BaseException:
            self.close()
            raise

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """Raise what is wrong with the options, without asking the server."""
        tables(options.pop("table", "predictions"))
        for name in ("timeout_s", "create"):
            options.pop(name, None)
        _parameters(location, **options)

    def begin(self, run: Run) -> None:
        """Note which model, by digest, made the predictions of this run."""
        with self._in_time():
            self._insert(self._runs, [dataclasses.asdict(run)])

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Commit them, all or none.

        Raises:
            Retry: the connection broke, the server did not answer in time, is read only or full.
            Rejected: the database refuses one of them: a constraint or a column's type.
        """
        with self._in_time(rows=True):
            self._insert(self._predictions, [prediction.as_dict() for prediction in predictions])

    def idle(self) -> None:
        """Notice a server that said goodbye; raises as `write`."""
        if self._connection.closed or self._has_news():
            with self._in_time():
                self._connection.execute("SELECT 1")

    def close(self) -> None:
        """Say goodbye to the server; may be called twice."""
        self._connection.close()

    def _prepare(self, create: bool) -> None:
        with self._in_time():
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, false)", (f"{self._timeout_s * 1000:.0f}",)
            )
            for table in (self._predictions, self._runs):
                self._prepare_table(table, create)

    def _prepare_table(self, table: Table, create: bool) -> None:
        """See that rows could be inserted, with every right and column that it takes, by inserting none."""
        from psycopg import errors

        try:
            self._insert(table, [])
        except errors.UndefinedTable:
            if not create:
                raise
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATING,))
                self._connection.execute(table.create)
        except errors.UndefinedColumn:
            found = self._connection.execute(table.look).description or ()
            if not create or set(table.columns) - {column.name for column in found} != {"fault"}:
                raise
            self._connection.execute(table.add_fault)  # of before there was one
        else:
            return
        self._insert(table, [])

    def _insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        from psycopg.types.json import Jsonb

        self._connection.execute(table.insert, (Jsonb([storable(row) for row in rows]),))

    def _has_news(self) -> bool:
        """Whether the server said something unasked, or hung up."""
        wire = select.poll()
        wire.register(self._connection.fileno(), select.POLLIN)
        return bool(wire.poll(0))

    @contextlib.contextmanager
    def _in_time(self, *, rows: bool = False) -> Iterator[None]:
        """A server that stopped still has a kernel that answers for it: only a clock of ours notices."""
        import psycopg

        self._late = False
        clock = threading.Timer(self._timeout_s + _GRACE_S, self._cut)
        clock.daemon = True
        clock.start()
        try:
            yield
        except psycopg.Error as error:
            raise self._verdict(error, rows=rows) from error
        finally:
            clock.cancel()

    def _cut(self) -> None:
        """Whoever waits for the server gets an error; from the clock's thread."""
        self._late = True
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(self._connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def _verdict(self, error: Any, *, rows: bool = False) -> DeviceError:
        """What a psycopg.Error means for the predictions."""
        code, said = error.sqlstate or "", error.diag.message_primary or one_line(error)
        if self._late:
            return Retry(f"{self._where}: does not answer", expected=f"within {self._timeout_s:g} s")
        if rows and code.startswith(_ROWS_OWN):
            return Rejected(f"{self._where}: refuses a prediction", found=said)
        # while it connects, libpq tells the reason in words only
        code = code or ("28P01" if "password" in said else "")
        return Retry(f"{self._where}: cannot be written now", found=said, remedy=_REMEDIES.get(code))


def _where(location: str) -> str:
    """The place without the user and what may stand beside it."""
    return f"postgres://{location.rpartition('@')[2]}"


def _parameters(
    location: str, password_env: str = "", password_file: str = "", sslmode: str | None = None, **files: str
) -> dict[str, Any]:
    """How to connect, as libpq's parameters.

    Raises:
        ConfigError: not a URL of libpq, a password in it, or none where one should be.
        Retry: a file is missing.
        MissingExtraError: psycopg is not installed.
    """
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:  # also where it finds no libpq
        raise MissingExtraError("sink 'postgres'", "postgres", error.name or "psycopg") from error
    where = _where(location)
    try:
        place: dict[str, Any] = dict(conninfo_to_dict(f"postgresql://{location}"))
        readable = all(port.isdecimal() for port in place.get("port", "5432").split(","))
    except psycopg.Error:  # whose words may show a password
        readable = False
    if not readable:
        raise ConfigError(f"{where}: cannot be read", expected="postgres://USER@HOST:PORT/DATABASE")
    if "password" in place:
        raise ConfigError(f"{where}: a password in the URL", remedy="use password_env or password_file")
    for name, file in files.items():
        if file and (name, file) != ("ca", "system") and not Path(file).is_file():
            raise Retry(f"{where}: {name}: there is no file {file}")
    wanted = {
        "password": read_secret(f"{where}: password", env=password_env, file=password_file),
        "sslmode": sslmode or ("verify-full" if files.get("ca") else ""),
        "sslrootcert": files.get("ca"),
        "sslcert": files.get("cert"),
        "sslkey": files.get("key"),
    }
    return {
        **place,
        **{name: value for name, value in wanted.items() if value},
        "fallback_application_name": "edgeml",
        "target_session_attrs": "read-write",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
