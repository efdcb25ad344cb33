"""A database that fails: what the operator is told, and what goes on."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy_core.errors import StorageError
from proxy_core.storage.index import connections
from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.model import Index
from proxy_core.storage.index.sql import FILE, open_index

from .samples import ALPINE, everything, layer, manifest

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a small file system with these options, which takes root."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"mounted-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, timeout=30).returncode:
            pytest.skip("mounting a file system takes root and CAP_SYS_ADMIN")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, timeout=30)


async def open_and_read(folder: Path) -> None:
    index = await open_index(folder)
    try:
        await everything(index)
    finally:
        await index.close()


async def save_megabytes(index: Index) -> None:
    for number in range(2, 200):
        await index.save(ALPINE, manifest(number, size=20_000), [], f"v{number}", now=1)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("something else\n" * 1000)

    with pytest.raises(StorageError) as by_migrate:
        migrate(tmp_path)
    with pytest.raises(StorageError) as by_open:
        await open_index(tmp_path)

    for refusal in (by_migrate.value, by_open.value):
        assert str(tmp_path / FILE) in refusal.cause
        assert "damaged" in refusal.cause
        assert "move the file away" in refusal.fix
    assert (tmp_path / FILE).read_text().startswith("something else\n")


async def test_an_index_that_is_damaged_within_says_so_when_it_is_read(folder: Path) -> None:
    index = await open_index(folder)
    for number in range(100):
        await index.save(ALPINE, manifest(number, size=2000), [layer(1000 + number)], f"v{number}", now=1)
    await index.close()
    file = folder / FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 4 :] = b"\xff" * (len(content) - len(content) // 4)
    file.write_bytes(content)

    with pytest.raises(StorageError) as refused:
        await open_and_read(folder)

    assert "damaged" in refused.value.cause
    assert "SELECT" not in str(refused.value)


async def test_a_folder_that_is_not_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "absent"):
        with pytest.raises(StorageError) as refused:
            migrate(folder)
        assert "storage.directory" in refused.value.fix
        with pytest.raises(StorageError, match="opened"):
            await open_index(folder)


def test_an_index_that_can_not_be_opened_is_all_that_is_said(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from proxy_core.errors import StorageError\n"
        "from proxy_core.storage.index.sql import open_index\n"
        "for _ in range(20):\n"
        "    try:\n"
        "        asyncio.run(open_index(Path(sys.argv[1])))\n"
        "    except StorageError as error:\n"
        "        print(error.cause)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert len(ended.stdout.splitlines()) == 20
    assert ended.stderr == ""


@contextmanager
def without_privileges() -> Iterator[None]:
    """As somebody for whom the rights of files count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_rights_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o000)
        with without_privileges(), pytest.raises(StorageError, match="Permission denied") as refused:
            migrate(folder)
        assert "storage.directory" in refused.value.fix

        folder.chmod(0o755)
        migrate(folder)
        (folder / FILE).chmod(0o444)
        folder.chmod(0o555)
        with without_privileges(), pytest.raises(StorageError, match="can not be opened for writing"):
            migrate(folder)
        folder.chmod(0o755)


async def test_a_read_only_file_system_is_refused_at_the_start(mount: Mount) -> None:
    folder = mount("size=4m")
    remount(folder, "ro")
    with pytest.raises(StorageError, match="Read-only file system"):
        migrate(folder)

    remount(folder, "rw")
    migrate(folder)
    remount(folder, "ro")
    with pytest.raises(StorageError) as refused:
        migrate(folder)
    assert "can not be opened for writing" in refused.value.cause
    assert "mounted read-write" in refused.value.fix


async def test_a_full_disk_fails_the_write_and_nothing_else(mount: Mount) -> None:
    folder = mount("size=1m")
    migrate(folder)
    index = await open_index(folder)
    await index.save(ALPINE, manifest(1), [], "first", now=1)

    with pytest.raises(StorageError) as refused:
        await save_megabytes(index)

    assert "full" in f"{refused.value.cause} {refused.value.fix}"
    assert await index.tagged(ALPINE, "first") is not None
    remount(folder, "size=16m")
    await index.save(ALPINE, manifest(1000), [], "after", now=2)
    assert await index.tagged(ALPINE, "after") is not None
    await index.close()


async def test_a_write_that_a_pull_can_do_without_is_reported_and_the_pull_goes_on(folder: Path) -> None:
    lost: list[StorageError] = []
    index = await open_index(folder, lost.append)
    await index.save(ALPINE, manifest(1), [], "latest", now=1)
    with sqlite3.connect(folder / FILE) as saboteur:
        saboteur.execute("CREATE TRIGGER failing BEFORE INSERT ON image_manifests BEGIN SELECT RAISE(ABORT, 'no'); END")
        saboteur.execute("CREATE TRIGGER failing_too BEFORE INSERT ON counters BEGIN SELECT RAISE(ABORT, 'no'); END")
    saboteur.close()

    await index.save(ALPINE, manifest(2), [], "next", now=2)

    assert [str(folder / FILE) in error.cause for error in lost] == [True]
    assert await index.tagged(ALPINE, "next") is None
    assert await index.tagged(ALPINE, "latest") is not None
    with pytest.raises(StorageError):  # who purges must know
        await index.purge("group")
    await index.close()


async def test_another_process_that_holds_the_index_is_named_as_the_cause(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 0.1)
    index = await open_index(folder)
    holder = sqlite3.connect(folder / FILE, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match="held by another process"):
        await index.save(ALPINE, manifest(1), [], "latest", now=1)
    assert await index.tagged(ALPINE, "latest") is None  # readers are not kept out

    holder.execute("ROLLBACK")
    holder.close()
    await index.save(ALPINE, manifest(1), [], "latest", now=1)
    await index.close()


async def test_a_failed_change_is_undone_as_a_whole(folder: Path) -> None:
    index = await open_index(folder)
    with sqlite3.connect(folder / FILE) as saboteur:
        saboteur.execute("CREATE TRIGGER no_tags BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'secret'); END")
    saboteur.close()

    with pytest.raises(StorageError) as refused:
        await index.save(ALPINE, manifest(1), [layer(10)], "latest", now=1)

    assert "INSERT" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert await index.known(manifest(1).digest) is None
    await index.save(ALPINE, manifest(1), [layer(10)], None, now=1)
    await index.close()


async def test_callers_that_are_cancelled_leave_no_transaction_open(folder: Path) -> None:
    index = await open_index(folder)
    for number in range(60):
        saving = asyncio.create_task(index.save(ALPINE, manifest(number), [layer(10)], f"v{number}", now=1))
        reading = asyncio.create_task(index.tagged(ALPINE, "v0"))
        for _ in range(number):
            await asyncio.sleep(0)
        saving.cancel()
        reading.cancel()
        await asyncio.gather(saving, reading, return_exceptions=True)

    # What was begun is completed or undone, and the lock is free for this and for other processes at once.
    await index.save(ALPINE, manifest(1000), [], "last", now=2)
    await index.close()
    other = sqlite3.connect(folder / FILE, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    whole = other.execute(
        "SELECT count(*) FROM image_manifests m LEFT JOIN tags t ON t.manifest_id = m.manifest_id WHERE t.id IS NULL"
    ).fetchone()
    other.close()
    assert whole == (0,)


async def test_many_callers_at_once_wait_their_turn(folder: Path) -> None:
    index = await open_index(folder)

    await asyncio.gather(*(index.save(ALPINE, manifest(number), [], f"v{number}", now=1) for number in range(100)))
    found = await asyncio.gather(*(index.tagged(ALPINE, f"v{number}") for number in range(100)))

    assert None not in found
    await index.close()


async def test_closing_waits_for_what_runs(folder: Path) -> None:
    index = await open_index(folder)
    saving = asyncio.create_task(index.save(ALPINE, manifest(1), [], "latest", now=1))
    await asyncio.sleep(0)

    await index.close()

    await saving
    with pytest.raises(StorageError, match="closed"):
        await index.tagged(ALPINE, "latest")
    index = await open_index(folder)
    assert await index.tagged(ALPINE, "latest") is not None
    await index.close()
