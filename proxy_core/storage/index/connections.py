"""The connections of one process to the database of the index: one that writes, a few that read.

What is to be done is a plain function of a :class:`sqlalchemy.Connection`. It runs in a greenlet whose every call of
the driver is awaited (SQLAlchemy's own bridge; ``sqlalchemy.ext.asyncio`` would do the same, and load the whole ORM).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from proxy_core.errors import StorageError
from proxy_core.storage.index.failures import explained

#: Seconds that a write waits for another process's write.
BUSY_TIMEOUT: Final = 10.0
#: Seconds that a call waits for a connection of this process.
POOL_TIMEOUT: Final = 30.0
READERS: Final = 2

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Connections:
    """Runs functions in transactions. Made by :func:`open_sqlite`; another database is another pair of engines.

    A transaction ends whether its caller stays or not: who is cancelled leaves at once, the transaction is completed
    behind it, so none is ever left open.
    """

    __slots__ = ("_closed", "_reader", "_running", "_writer", "place")

    def __init__(self, writer: Engine, reader: Engine, place: str) -> None:
        self._writer = writer
        self._reader = reader
        self.place = place  #: for messages: the file, or an address without its password
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, query: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The query's answer. Each of its statements sees what is committed when it begins.

        :raises StorageError: the database failed.
        """

        def transaction() -> _T:
            with self._reader.connect() as connection:
                return query(connection, *args, **kwargs)

        return await self._complete(transaction)

    async def write(self, change: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The change's answer, once it is committed as a whole. No other change runs meanwhile, in any process.

        :raises StorageError: the database failed; nothing has changed.
        """

        def transaction() -> _T:
            with self._writer.begin() as connection:
                return change(connection, *args, **kwargs)

        return await self._complete(transaction)

    async def close(self) -> None:
        """Let what runs end, then close all connections. What is asked later is refused."""
        self._closed = True
        if self._running:
            await asyncio.wait(self._running)
        for engine in (self._writer, self._reader):
            await greenlet_spawn(engine.dispose)

    async def _complete(self, transaction: Callable[[], _T]) -> _T:
        if self._closed:
            raise StorageError(f"The index {self.place} is closed.", "The server is stopping; try again later.")
        task = asyncio.create_task(greenlet_spawn(transaction))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        with explained(self.place):
            return await asyncio.shield(task)


def open_sqlite(file: Path) -> Connections:
    """Connections to an SQLite file that is there already; none is opened before it is needed."""
    writer = _engine(file, connections=1, writes=True)
    reader = _engine(file, connections=READERS, writes=False)

    @event.listens_for(writer, "begin")
    def begin(connection: Connection) -> None:
        # Takes the write lock at once. A transaction that reads first and then asks for it is refused without any
        # waiting when another process has written in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Connections(writer, reader, str(file))


def sqlite_url(driver: str, file: Path, mode: str) -> URL:
    """The address of an SQLite file, whatever characters its path has (sqlite.org/uri.html).

    :param mode: ``rw``: it must be there; ``rwc``: it is made.
    """
    return URL.create(driver, database=f"file:{quote(str(file.absolute()))}", query={"uri": "true", "mode": mode})


def _engine(file: Path, *, connections: int, writes: bool) -> Engine:
    engine = create_engine(
        sqlite_url("sqlite+aiosqlite", file, "rw"),
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},  # None: transactions begin where we say so
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_reset_on_return=None,  # each transaction ends itself
        skip_autocommit_rollback=not writes,  # a reader has nothing to roll back
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",  # with WAL a power loss takes the last commits at worst, a dead process none
            "foreign_keys = ON",
            "journal_size_limit = 67108864",
            f"query_only = {'OFF' if writes else 'ON'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
