"""Which revision a database is of."""

from sqlalchemy import Column, Connection, MetaData, Table, Text, inspect, select

from proxy_core.errors import StorageError
from proxy_core.storage.index.tables import REVISION, REVISION_TABLE

# Alembic's own table, apart from the metadata that migrations are held against.
_REVISION = Table(REVISION_TABLE, MetaData(), Column("version_num", Text))


def found(connection: Connection) -> str | None:
    """The revision of the database; ``None`` if it has no tables of ours."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    return connection.execute(select(_REVISION)).scalar_one_or_none()


def require(connection: Connection, place: str) -> None:
    """:raises StorageError: the database is not of the revision that this code works with."""
    revision = found(connection)
    if revision != REVISION:
        raise mismatch(revision, place)


def mismatch(revision: str | None, place: str) -> StorageError:
    """What to say of a database that is of another revision."""
    if revision is None or revision < REVISION:
        return StorageError(
            f"The index {place} is of revision {revision or 'none'}; this version of runner-bridge needs {REVISION}.",
            "Start the server of this version: it brings the index up to date.",
        )
    return StorageError(
        f"The index {place} is of revision {revision}; this version of runner-bridge knows it up to {REVISION}.",
        "Upgrade runner-bridge to the version that wrote it, or use another folder.",
    )
