"""The store in a folder: the suite that every store passes, and what happens to files behind its back."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from proxy_core.errors import StorageError
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from tests.storage.blobs.conformance import LAYER, BlobStoreConformance, Case, digest_of, read_all
from tests.storage.processes import Process

DIGEST = digest_of(LAYER)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemBlobs:
    return FilesystemBlobs(tmp_path / "blobs")


@dataclass(frozen=True)
class File:
    """The file beneath a blob, and what may happen to it behind the store's back."""

    path: Path

    @property
    def there(self) -> bool:
        return self.path.exists()

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    @property
    def time(self) -> int:
        return self.path.stat().st_mtime_ns

    def set_time(self, time: int) -> None:
        os.utime(self.path, ns=(time, time))

    def flip(self, offset: int = 1000) -> None:
        """One bit is another one."""
        with self.path.open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1]))

    def cut(self, size: int = len(LAYER) - 1) -> None:
        os.truncate(self.path, size)

    def lengthen(self) -> None:
        with self.path.open("ab") as file:
            file.write(b"x")

    def replace(self, content: bytes = LAYER[::-1]) -> None:
        self.path.unlink()
        self.path.write_bytes(content)

    def remove(self) -> None:
        self.path.unlink()

    def touch(self) -> None:
        self.path.touch()


@pytest.fixture
async def file(store: FilesystemBlobs, tmp_path: Path) -> File:
    """The file of a layer that the store has."""
    draft = tmp_path / "draft"
    draft.write_bytes(LAYER)
    await store.adopt(DIGEST, draft)
    return File(store.path(DIGEST))


class TestFilesystemBlobs(BlobStoreConformance):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        store, numbers = FilesystemBlobs(tmp_path / "blobs"), count()

        def draft(content: bytes) -> Path:
            path = tmp_path / f"draft-{next(numbers)}"
            path.write_bytes(content)
            return path

        return Case(store, draft, lambda digest: File(store.path(digest)).flip())


async def test_blobs_lie_in_folders_by_algorithm_and_first_digits(file: File, tmp_path: Path) -> None:
    assert file.path == tmp_path / "blobs" / "sha256" / DIGEST.hex[:2] / DIGEST.hex
    assert file.content == LAYER


async def test_another_process_finds_what_this_one_put_in(file: File, tmp_path: Path) -> None:
    blob = await FilesystemBlobs(tmp_path / "blobs").open(DIGEST)
    assert blob is not None
    assert await read_all(blob) == LAYER


@pytest.mark.parametrize("spoil", [File.flip, File.cut, File.lengthen, File.replace, File.remove])
async def test_whatever_was_done_to_a_file_it_is_not_served_and_makes_room(
    store: FilesystemBlobs, file: File, spoil: Callable[[File], object]
) -> None:
    spoil(file)
    assert await store.open(DIGEST) is None
    assert not file.there


async def test_a_file_that_was_touched_is_hashed_once_and_sealed_anew(store: FilesystemBlobs, file: File) -> None:
    sealed = file.time
    file.touch()
    assert file.time != sealed
    for _ in range(2):
        blob = await store.open(DIGEST)
        assert blob is not None
        assert await read_all(blob) == LAYER
        assert file.time == sealed


async def test_a_file_that_came_from_a_backup_is_served_after_it_was_hashed(
    store: FilesystemBlobs, file: File, tmp_path: Path
) -> None:
    file.replace(LAYER)
    blob = await store.open(DIGEST)
    assert blob is not None
    assert await read_all(blob) == LAYER


async def test_damage_beneath_an_unchanged_time_is_found_by_verifying(store: FilesystemBlobs, file: File) -> None:
    """A disk that gives other bytes than it was given changes no time. Opening looks at the time alone, since it must
    not read all of a blob for each pull."""
    sealed = file.time
    file.flip()
    file.set_time(sealed)
    blob = await store.open(DIGEST)
    assert blob is not None
    blob.close()
    assert not await store.verify(DIGEST)


async def test_a_file_that_is_cut_while_it_is_read_is_an_error_and_never_fewer_bytes(
    store: FilesystemBlobs, file: File
) -> None:
    blob = await store.open(DIGEST)
    assert blob is not None
    assert await blob.read(0, 1000) == LAYER[:1000]
    file.cut(2000)
    with pytest.raises(StorageError) as caught:
        await blob.read(1000, len(LAYER))
    assert caught.value.fix
    blob.close()


async def test_what_is_no_blob_in_the_folder_is_passed_over(store: FilesystemBlobs, file: File) -> None:
    (file.path.parent / "README").write_text("hello")
    (file.path.parent.parent / "zz").mkdir()
    (file.path.parent.parent / "zz" / DIGEST.hex[:-1]).touch()
    assert [digest async for digest, _, _ in store.digests()] == [DIGEST]


async def test_a_folder_that_is_none_is_a_storage_error_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("in the way")
    draft = tmp_path / "draft"
    draft.write_bytes(LAYER)
    with pytest.raises(StorageError, match="can not be written"):
        await FilesystemBlobs(tmp_path / "blobs").adopt(DIGEST, draft)
    assert draft.read_bytes() == LAYER


async def test_what_another_process_reads_is_not_collected_until_that_process_is_gone(
    store: FilesystemBlobs, file: File
) -> None:
    code = f"""
        import asyncio
        from pathlib import Path
        from proxy_core.reference import parse_digest
        from proxy_core.storage.blobs.filesystem import FilesystemBlobs
        blob = asyncio.run(FilesystemBlobs(Path({str(file.path.parents[2])!r})).open(parse_digest({str(DIGEST)!r})))
        say("reading" if blob else "nothing")
        wait()
    """
    with Process(code) as reader:
        assert reader.heard() == "reading"
        assert not await store.delete_unread(DIGEST)
        reader.kill()
    assert await store.delete_unread(DIGEST)
