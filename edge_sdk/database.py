"""What the sink `sqlite:` and the outbox know alike of SQLite: which file it is, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from edge_sdk.errors import Retry

#: What a connection keeps of its file in memory, not 2 MB that fill over hours: rows are written in order
#: and read in order.
CACHE_PRAGMA = "PRAGMA cache_size=-512"
#: The file may not be written; only a person can mend that.
UNWRITABLE = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_LOCKED: "another program holds it",
    sqlite3.SQLITE_FULL: "free some space",
}


def identity(path: Path) -> tuple[int, int] | None:
    """Which file a path names now, or None: SQLite would go on writing to one that was deleted."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, once a commit
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def not_now(path: Path, error: sqlite3.Error) -> Retry:
    """What may pass: locked, full, an I/O error."""
    remedy = _REMEDIES.get(code_of(error))
    return Retry(f"{path}: cannot be written now", found=error, remedy=remedy)
