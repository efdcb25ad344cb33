"""Several processes on one index: they write at once, they start at once, they are killed."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy_core.storage.index.sql import FILE, open_index

from .samples import ALPINE, digest, everything
from .writer import SHARED, image

Start = Callable[[str, int], "subprocess.Popen[str]"]

SECONDS = 90
ROOT = Path(__file__).parents[3]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a writer on the folder of the test; those that still run in the end are killed."""
    writers: list[subprocess.Popen[str]] = []

    def start(name: str, count: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.storage.index.writer", str(tmp_path), name, str(count)]
        writer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        writers.append(writer)
        return writer

    yield start
    for writer in writers:
        writer.kill()
        writer.communicate(timeout=SECONDS)


def finish(writer: "subprocess.Popen[str]") -> list[str]:
    """What the writer printed. It must have ended well."""
    output, errors = writer.communicate("go\n", timeout=SECONDS)
    assert writer.returncode == 0, errors
    return output.split()


def sound(folder: Path) -> bool:
    """SQLite finds no fault in the file, and no row refers to one that is missing."""
    with sqlite3.connect(folder / FILE) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        dangling = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    return verdict == "ok" and not dangling


async def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path, start: Start) -> None:
    count = 40
    writers = [start(name, count) for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"

    for writer in writers:  # both wait for this line; only then is any of them waited for
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert finish(writer) == [str(number) for number in range(count)]

    index = await open_index(tmp_path)
    for name in ("one", "two"):
        for number in range(count):
            assert await index.tagged(image(name, number), "latest") is not None
            assert await index.tagged(ALPINE, f"{name}-{number}") is not None
            assert await index.blob_size(image(name, number), digest(5000 + number)) == 1000
        assert await index.blob_size(image(name, 0), digest(SHARED)) == 1000
    assert len(await everything(index)) == 4 * count
    assert await index.stored_bytes() == 1000 * count
    assert await index.generation() == 2 * count
    pause = await index.pause("docker.io")
    assert pause is not None
    assert pause.strikes == count - 1
    await index.close()
    assert sound(tmp_path)


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, start: Start) -> None:
    acknowledged = []
    for attempt, after in enumerate((1, 7, 15)):
        writer = start(f"killed-{attempt}", 10_000)
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        lines = ["", *(writer.stdout.readline() for _ in range(after))]
        writer.kill()
        lines += writer.communicate(timeout=SECONDS)[0].splitlines(keepends=True)
        acknowledged += [(f"killed-{attempt}", int(line)) for line in lines if line.strip().isdecimal()]

    index = await open_index(tmp_path)
    assert len(acknowledged) >= 20
    for name, number in acknowledged:
        assert await index.tagged(image(name, number), "latest") is not None
        assert await index.blob_size(image(name, number), digest(5000 + number)) == 1000
    assert await index.stored_bytes() == sum(size for _, size in await index.blobs(limit=100_000))
    await index.close()
    assert sound(tmp_path)


async def test_many_processes_migrate_at_once(tmp_path: Path, start: Start) -> None:
    writers = [start(f"starter-{number}", 1) for number in range(6)]

    for writer in writers:
        assert finish(writer) == ["ready", "0"]

    index = await open_index(tmp_path)
    assert len(await everything(index)) == 12
    await index.close()
    assert sound(tmp_path)


def test_a_worker_loads_neither_alembic_nor_an_orm() -> None:
    script = (
        "import sys, proxy_core.storage.index.sql as sql, sqlalchemy.dialects.sqlite.aiosqlite, aiosqlite\n"
        "for name in sorted(sys.modules): print(name)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=SECONDS, env={**os.environ}
    ).stdout.split()

    unwanted = ("alembic", "mako", "sqlalchemy.orm", "sqlalchemy.ext", "sqlalchemy.dialects.postgresql")
    assert "proxy_core.storage.index.tables" in loaded
    assert [name for name in loaded if name.startswith(unwanted)] == []
