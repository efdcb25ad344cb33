"""How the index of a folder comes to be, and which it refuses."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import proxy_core.storage.index as package
from proxy_core.errors import StorageError
from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.sql import FILE, open_index
from proxy_core.storage.index.tables import REVISION, REVISION_TABLE, metadata

from .samples import ALPINE, everything, layer, manifest


def ask(file: Path, statement: str) -> list[tuple[object, ...]]:
    """What SQLite itself answers, beside the code under test."""
    connection = sqlite3.connect(file)
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_the_migrations_make_the_tables_that_the_code_works_with(folder: Path) -> None:
    engine = create_engine(f"sqlite:///{folder / FILE}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": REVISION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_revision_of_the_code_is_the_only_head_of_the_migrations() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(package.__path__[0]) / "migrations"))

    assert ScriptDirectory.from_config(configuration).get_heads() == [REVISION]


async def test_migrating_again_is_harmless(folder: Path) -> None:
    index = await open_index(folder)
    await index.save(ALPINE, manifest(1), [layer(10)], "latest", now=1)

    migrate(folder)  # beside a server that runs

    assert len(await everything(index)) == 1
    await index.close()
    assert ask(folder / FILE, f"SELECT version_num FROM {REVISION_TABLE}") == [(REVISION,)]


@pytest.mark.parametrize("name", ["a b", "100%", "what?mode=memory", "#1", "ünï%20code", "'quoted\""])
async def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()

    migrate(folder)
    migrate(folder)
    await (await open_index(folder)).close()

    assert {file.name for file in folder.iterdir()} == {FILE, "index.lock"}


async def test_a_relative_folder_is_taken_from_where_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    migrate(Path())
    await (await open_index(Path())).close()

    assert (tmp_path / FILE).exists()


async def test_an_empty_file_becomes_an_index(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()

    migrate(tmp_path)

    await (await open_index(tmp_path)).close()


async def test_a_copy_that_lost_its_journal_mode_gets_it_back(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    restored = tmp_path_factory.mktemp("restored")
    ask(folder / FILE, f"VACUUM INTO '{restored / FILE}'")
    assert ask(restored / FILE, "PRAGMA journal_mode") == [("delete",)]

    migrate(restored)

    assert ask(restored / FILE, "PRAGMA journal_mode") == [("wal",)]


async def test_an_index_of_a_newer_version_is_refused_and_left_alone(folder: Path) -> None:
    ask(folder / FILE, f"UPDATE {REVISION_TABLE} SET version_num = '0999'")

    with pytest.raises(StorageError) as by_migrate:
        migrate(folder)
    with pytest.raises(StorageError) as by_open:
        await open_index(folder)

    for refusal in (by_migrate.value, by_open.value):
        assert "0999" in refusal.cause
        assert REVISION in refusal.cause
        assert "Upgrade runner-bridge" in refusal.fix
    assert ask(folder / FILE, f"SELECT version_num FROM {REVISION_TABLE}") == [("0999",)]


async def test_a_running_worker_notices_that_the_index_was_upgraded_beneath_it(folder: Path) -> None:
    index = await open_index(folder)
    await index.check()

    ask(folder / FILE, f"UPDATE {REVISION_TABLE} SET version_num = '0999'")

    with pytest.raises(StorageError, match="0999"):
        await index.check()
    await index.close()


async def test_an_index_that_was_never_made_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        await open_index(tmp_path)
    assert not (tmp_path / FILE).exists()

    ask(tmp_path / FILE, "CREATE TABLE something (id INTEGER)")
    with pytest.raises(StorageError, match="of revision none") as refused:
        await open_index(tmp_path)
    assert "Start the server" in refused.value.fix


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    ask(tmp_path / FILE, "CREATE TABLE tags (id INTEGER)")

    with pytest.raises(StorageError):
        migrate(tmp_path)

    assert ask(tmp_path / FILE, "SELECT name FROM sqlite_master") == [("tags",)]
