"""What SQL does not say the same way everywhere: ``ON CONFLICT``, which SQLite and PostgreSQL share.

Statements are made once and kept: making one costs more than running it.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


@cache
def insert(dialect: str, table: Table) -> "Insert":
    """An insert of this dialect. PostgreSQL's has the same ``on_conflict_*`` methods."""
    # By name, so that the dialect that is not used is not loaded.
    return cast("Insert", import_module(f"sqlalchemy.dialects.{dialect}").insert(table))


@cache
def insert_new(dialect: str, table: Table) -> "Insert":
    """An insert of rows, each of which is passed over if there is one with the same key."""
    return insert(dialect, table).on_conflict_do_nothing()


@cache
def upsert(dialect: str, table: Table, key: tuple[str, ...], *, keep: tuple[str, ...] = ()) -> "Insert":
    """An insert of a row that replaces the one with the same key.

    :param key: the columns of a primary key or a unique constraint.
    :param keep: columns that stay as they are in a row that is there.
    """
    statement = insert(dialect, table)
    replaced = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in (*key, *keep, "id")
    }
    return statement.on_conflict_do_update(index_elements=key, set_=replaced)
