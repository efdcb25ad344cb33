"""Sums that are kept, because they are read too often to be counted each time."""

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, select

from proxy_core.storage.index import dialects
from proxy_core.storage.index.tables import counters

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


class Counter(StrEnum):
    """The rows of the table; one that is absent is 0."""

    GENERATION = "generation"  # removals so far
    STORED_BYTES = "stored_bytes"  # sum of blobs.size


_VALUE = select(counters.c.value).where(counters.c.name == bindparam("name"))


def value(connection: Connection, counter: Counter) -> int:
    """What the counter is at."""
    return connection.execute(_VALUE, {"name": counter.value}).scalar_one_or_none() or 0


def add(connection: Connection, counter: Counter, amount: int) -> None:
    """Let the counter grow, or shrink, by an amount."""
    connection.execute(_add(connection.dialect.name), {"name": counter.value, "value": amount})


@cache
def _add(dialect: str) -> "Insert":
    row = dialects.insert(dialect, counters)
    return row.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + row.excluded.value})
