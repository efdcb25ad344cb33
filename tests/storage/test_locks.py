"""Locks between processes, and the folder that they guard."""

import os
from pathlib import Path

import pytest

from proxy_core.errors import StorageError
from proxy_core.storage.folder import Folder
from proxy_core.storage.locks import Locks
from tests.storage.processes import Process


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(tmp_path / "locks")


def holder(path: Path, name: str) -> Process:
    return Process(
        f"""
        from pathlib import Path
        from proxy_core.storage.locks import Locks
        lock = Locks(Path({str(path)!r})).acquire({name!r})
        say("mine" if lock else "taken")
        wait()
        """
    )


def test_a_lock_has_one_holder_also_within_a_process(locks: Locks, tmp_path: Path) -> None:
    lock = locks.acquire("fill a")
    assert lock is not None
    assert locks.acquire("fill a") is None
    assert Locks(tmp_path / "locks").acquire("fill a") is None
    lock.release()
    lock.release()
    again = locks.acquire("fill a")
    assert again is not None
    again.release()


def test_locks_of_other_names_are_other_locks(locks: Locks) -> None:
    held = [locks.acquire(f"slot {number}") for number in range(100)]
    assert None not in held
    for lock in held:
        if lock:
            lock.release()


def test_a_lock_is_free_as_soon_as_its_process_is_dead(locks: Locks, tmp_path: Path) -> None:
    with holder(tmp_path / "locks", "fill a") as process:
        assert process.heard() == "mine"
        assert locks.acquire("fill a") is None
        other = locks.acquire("fill b")
        assert other is not None
        process.kill()
        lock = locks.acquire("fill a")
    assert lock is not None
    with holder(tmp_path / "locks", "fill a") as process:
        assert process.heard() == "taken"
    lock.release()
    other.release()


def test_a_child_does_not_inherit_locks(locks: Locks) -> None:
    """Else a lock would live as long as the longest child."""
    lock = locks.acquire("server")
    assert lock is not None
    with Process("say('here'); wait()") as child:
        assert child.heard() == "here"
        lock.release()
        again = locks.acquire("server")
        assert again is not None
        again.release()


def test_a_lock_file_that_can_not_be_made_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can not be written") as caught:
        Locks(tmp_path / "none" / "locks").acquire("x")
    assert caught.value.fix


class TestFolder:
    def test_is_made_for_its_owner_alone(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path / "a" / "data")
        folder.prepare()
        folder.prepare()
        assert {path.name for path in folder.directory.iterdir()} == {"blobs", "partial"}
        assert all(path.stat().st_mode & 0o077 == 0 for path in (folder.directory, *folder.directory.iterdir()))

    def test_one_server_runs_on_it(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path)
        right = folder.serve()
        with pytest.raises(StorageError, match="Another server runs on"):
            Folder(tmp_path).serve()
        right.release()
        Folder(tmp_path).serve().release()

    def test_a_file_in_its_place_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("")
        with pytest.raises(StorageError, match="data can not be written"):
            Folder(tmp_path / "data").prepare()

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files")
    def test_a_folder_that_takes_no_files_is_said(self) -> None:
        with pytest.raises(StorageError, match="can not be written"):
            Folder(Path("/proc/self")).check()

    def test_checking_leaves_nothing(self, tmp_path: Path) -> None:
        Folder(tmp_path).check()
        assert list(tmp_path.iterdir()) == []


class TestRoom:
    def test_a_blob_may_be_kept_while_there_is_room_for_it(self, tmp_path: Path) -> None:
        room = Folder(tmp_path).room(max_size=1000, min_free=0)
        assert room.refusal(1000) is None
        assert room.refusal(None) is None
        room.stored = 600
        assert room.refusal(400) is None
        refusal = room.refusal(401)
        assert refusal is not None
        assert "600 of 1000 bytes (storage.max_size)" in refusal

    def test_a_full_cache_takes_nothing_of_unknown_size(self, tmp_path: Path) -> None:
        room = Folder(tmp_path).room(max_size=1000, min_free=0)
        room.stored = 1001
        assert room.refusal(None) is not None

    def test_so_much_of_the_disk_stays_free(self, tmp_path: Path) -> None:
        free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
        refusal = Folder(tmp_path).room(max_size=1 << 60, min_free=free * 2).refusal(1)
        assert refusal is not None
        assert "storage.min_free" in refusal

    def test_by_default_a_twentieth_of_the_disk_and_at_most_5_gib(self, tmp_path: Path) -> None:
        disk = os.statvfs(tmp_path)
        size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        room = Folder(tmp_path).room(max_size=1 << 60, min_free=None)
        least = min(5 * 1024**3, size // 20)
        assert (room.refusal(0) is None) == (free >= least)
        assert room.refusal(free - least + 1024**3) is not None
