"""What goes wrong in a database, said as cause and next step; never with a statement or its values."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from proxy_core.errors import StorageError

_DAMAGED: Final = (
    "is damaged, or is not an SQLite database",
    "Stop the server and move the file away together with its -wal and -shm: a new index is made and the cache fills "
    "again.",
)
_NO_RIGHTS: Final = (
    "can not be opened for writing",
    "Let the user that runs runner-bridge write to the folder and to every file in it, on a file system that is "
    "mounted read-write.",
)
_BUSY: Final = (
    "is held by another process for too long",
    "Try again; when it stays so, look for a stopped process that has the file open.",
)

# Primary result codes (sqlite.org/rescode.html): the lowest byte of the extended ones that Python reports.
_CAUSES: Final = {
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_READONLY: _NO_RIGHTS,
    sqlite3.SQLITE_CANTOPEN: _NO_RIGHTS,
    sqlite3.SQLITE_PERM: _NO_RIGHTS,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: ("can not grow: the file system is full", "Make room on it; nothing has been lost."),
    sqlite3.SQLITE_IOERR: (
        "can not be read or written: the file system reports an error",
        "Look into the system's log for the disk, and whether the file system is full.",
    ),
}


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Within, each failure of the database becomes an error that an operator can act on.

    :param place: the file of the database, or its address without a password.
    :raises StorageError: the database failed.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        # Not chained: SQLAlchemy's errors carry the statement into every log that prints a traceback.
        raise _storage_error(error, place) from None


def _storage_error(error: Exception, place: str) -> StorageError:
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    code: int | None = getattr(driver_error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _CAUSES:
        cause, fix = _CAUSES[code & 0xFF]
        return StorageError(f"The index {place} {cause}.", fix)
    name = getattr(driver_error, "sqlite_errorname", None) or type(error).__name__
    return StorageError(
        f"The index {place} failed ({name}).",
        "Try again; when it stays so, check that every process on this folder is of the same version of runner-bridge.",
    )
