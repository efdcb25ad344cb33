"""Bring the index of a storage folder to the revision of this code. Run before workers start, and by ``cache``.

Workers do not import this module: alembic is as large as all the rest of the index.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from proxy_core.errors import StorageError
from proxy_core.storage.index import revision
from proxy_core.storage.index.connections import BUSY_TIMEOUT, sqlite_url
from proxy_core.storage.index.failures import explained
from proxy_core.storage.index.sql import FILE
from proxy_core.storage.index.tables import REVISION

#: Seconds to wait for another process that migrates.
LOCK_TIMEOUT: Final = 60.0
_LOCK_FILE: Final = "index.lock"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(directory: Path) -> None:
    """Make the index of this folder, or bring it up to date. Harmless when it is; several processes may do it at once.

    :raises StorageError: the folder can not be written, the index is of a newer revision, or damaged.
    """
    file = directory / FILE
    with explained(str(file)):
        if _exists(file) and _is_current(file):
            return
        with _locked(directory / _LOCK_FILE):
            _upgrade(file)


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:  # of the folder: the lock tells, which is made in it
        return False


def _is_current(file: Path) -> bool:
    # In a transaction that may write, so that a folder or a file without rights is found here and not in a pull.
    with _engine(file, "rw").begin() as connection:
        found = revision.found(connection)
        if found is not None and found > REVISION:
            raise revision.mismatch(found, str(file))
        return found == REVISION and connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


def _upgrade(file: Path) -> None:
    # Not above: a start on an index that is up to date is that much faster.
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    engine = _engine(file, "rwc")
    _use_wal(engine)
    if _is_current(file):  # another process was faster
        return
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, REVISION)


def _use_wal(engine: Engine) -> None:
    connection = engine.raw_connection()  # the mode can not be changed inside a transaction
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        connection.close()


def _engine(file: Path, mode: str) -> Engine:
    engine = create_engine(
        sqlite_url("sqlite", file, mode),
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},
        poolclass=NullPool,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # All revisions in one transaction: a process that is killed in the middle leaves what was there before.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock of this file, which is never removed: a lock on a file without a name excludes nobody.

    :raises StorageError: it can not be opened, or is held for too long.
    """
    try:
        # Reading is enough for a lock: the file may be another user's, e.g. root's who once ran ``cache list``.
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(
            f"The folder of the index can not be used: {file}: {error.strerror}.",
            "Name an existing folder in storage.directory that the user of runner-bridge may write to.",
        ) from error
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise StorageError(
                    f"Another process has been preparing the index for {LOCK_TIMEOUT:.0f} s ({file} is locked).",
                    "Wait for it to end, or stop it, and start again.",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
