"""SQLite's errors as edgeml's."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge_sdk.database import UNWRITABLE, code_of, not_now
from edge_sdk.errors import DeviceError, Fatal


class Corrupt(Exception):  # noqa: N818 - says what the file is, not what failed
    """The file is no database any more, or a part of it is not."""


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as edgeml's: `Corrupt`, `Fatal` for what only a person can mend, else `Retry`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _verdict(path, error) from error


def _verdict(path: Path, error: sqlite3.Error) -> Corrupt | DeviceError:
    code = code_of(error)
    # In a file of ours a missing table is damage, too.
    gone = code == sqlite3.SQLITE_ERROR and str(error).startswith(("no such", "malformed"))
    if gone or code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_MISMATCH}:
        return Corrupt(str(error))
    if code in UNWRITABLE:
        return Fatal(
            f"{path}: cannot be written", found=error, remedy="choose a folder that this user may write"
        )
    return not_now(path, error)
