"""The look-ups that pulls wait for find each row by a key: none reads a table, or an index of one, from end to end."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from proxy_core.storage.index.model import Index
from proxy_core.storage.index.sql import FILE
from proxy_core.storage.index.tables import metadata

from .samples import ALPINE, child, digest, layer, manifest

HOT: dict[str, Callable[[Index], Awaitable[object]]] = {
    "tagged": lambda index: index.tagged(ALPINE, "latest"),
    "manifest": lambda index: index.manifest(ALPINE, digest(1)),
    "known": lambda index: index.known(digest(1)),
    "blob_size": lambda index: index.blob_size(ALPINE, digest(10)),
    "confirm": lambda index: index.confirm(ALPINE, "latest", digest(2), 2),
    "save": lambda index: index.save(ALPINE, manifest(2), [child(manifest(1))], "latest", 2),
    "save a child": lambda index: index.save(ALPINE, manifest(3), [layer(11)], None, 2),
    "touch": lambda index: index.touch([(ALPINE, digest(1))], [digest(10)], 5),
    "add_blob": lambda index: index.add_blob(digest(10), 5, 2),
    "stored_bytes": lambda index: index.stored_bytes(),
    "generation": lambda index: index.generation(),
    "listing": lambda index: index.listing(ALPINE, "tags"),
    "pause": lambda index: index.pause("docker.io"),
    "blobs": lambda index: index.blobs(),
    "entries": lambda index: index.entries(limit=10),
}


@pytest.fixture
def executed() -> Iterator[list[tuple[str, Any]]]:
    """The statements that run meanwhile, with their values."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        statements.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(Engine, "before_cursor_execute", note)
    yield statements
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("name", HOT)
async def test_no_table_is_scanned(name: str, index: Index, folder: Path, executed: list[tuple[str, Any]]) -> None:
    await index.save(ALPINE, manifest(2), [child(manifest(1)), child(manifest(3))], "latest", 1)
    await index.save(ALPINE, manifest(1), [layer(10)], None, 1)
    executed.clear()

    await HOT[name](index)

    database = sqlite3.connect(folder / FILE)
    plans = [
        step
        for statement, parameters in executed
        if not statement.startswith(("BEGIN", "PRAGMA"))
        for *_, step in database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]
    database.close()
    assert plans
    # Pages walk along a primary key, from where the last one ended; a scan of a subquery is one of its few rows.
    assert [step for step in plans if step.startswith("SCAN") and step.split()[1] in metadata.tables] == []
