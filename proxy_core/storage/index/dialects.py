"""What SQL does not say the same way everywhere: ``ON CONFLICT``, which SQLite and PostgreSQL share."""

from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert(connection: Connection, table: Table) -> "Insert":
    """An insert of the connection's dialect. PostgreSQL's has the same ``on_conflict_*`` methods."""
    # By name, so that the dialect that is not used is not loaded.
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    return cast("Insert", dialect.insert(table))


def upsert(connection: Connection, table: Table, *, keep: Collection[str] = ()) -> "Insert":
    """An insert that replaces the row with the same primary key.

    :param keep: columns that stay as they are in a row that is there.
    """
    statement = insert(connection, table)
    replaced = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if not column.primary_key and column.name not in keep
    }
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=replaced)
