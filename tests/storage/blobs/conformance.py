"""What every blob store must do. A store's test derives from :class:`BlobStoreConformance` and says how to make one."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy_core.errors import StorageError
from proxy_core.reference import Digest
from proxy_core.storage.blobs.model import Blob, BlobStore

LAYER = bytes(range(256)) * 1200  # 300 KB: more than is read at once
CONTENTS = [b"", b"x", LAYER]


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    return Digest(algorithm, hashlib.new(algorithm, content).hexdigest())


async def read_all(blob: Blob, piece: int = 64 * 1024) -> bytes:
    """All bytes, piece by piece, as an answer takes them. Closes the blob."""
    content = b""
    while chunk := await blob.read(len(content), piece):
        content += chunk
    blob.close()
    return content


@dataclass(frozen=True)
class Case:
    """A store, files to put into it, and a way to spoil what is in it."""

    store: BlobStore
    draft: Callable[[bytes], Path]  # a file with these bytes, where the store can take it from
    spoil: Callable[[Digest], None]  # changes bytes beneath the store, behind its back

    async def put(self, content: bytes, algorithm: str = "sha256") -> Digest:
        digest = digest_of(content, algorithm)
        await self.store.adopt(digest, self.draft(content))
        return digest

    async def open(self, digest: Digest) -> Blob:
        blob = await self.store.open(digest)
        assert blob is not None
        return blob

    async def listed(self) -> dict[Digest, int]:
        return {digest: size async for digest, size, _ in self.store.digests()}


class BlobStoreConformance:
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        raise NotImplementedError

    # -- putting in and reading

    @pytest.mark.parametrize("content", CONTENTS, ids=["empty", "one byte", "a layer"])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    async def test_what_was_put_in_is_read_whole(self, case: Case, content: bytes, algorithm: str) -> None:
        blob = await case.open(await case.put(content, algorithm))
        assert blob.size == len(content)
        assert await read_all(blob) == content

    @pytest.mark.parametrize("offset", [0, 1, 255, len(LAYER) - 1, len(LAYER), len(LAYER) + 5])
    @pytest.mark.parametrize("length", [1, 1000, 10 * len(LAYER)])
    async def test_any_part_is_read(self, case: Case, offset: int, length: int) -> None:
        blob = await case.open(await case.put(LAYER))
        assert await blob.read(offset, length) == LAYER[offset : offset + length]
        blob.close()

    async def test_an_empty_blob_has_nothing_to_read(self, case: Case) -> None:
        blob = await case.open(await case.put(b""))
        assert await blob.read(0, 100) == b""
        blob.close()

    async def test_what_was_never_put_in_is_not_there(self, case: Case) -> None:
        stranger = digest_of(b"never seen")
        assert await case.store.open(stranger) is None
        assert not await case.store.delete(stranger)
        assert not await case.store.delete_unread(stranger)
        assert not await case.store.verify(stranger)

    async def test_the_file_belongs_to_the_store_once_it_was_adopted(self, case: Case) -> None:
        path = case.draft(LAYER)
        await case.store.adopt(digest_of(LAYER), path)
        assert not path.exists()

    async def test_a_file_that_is_not_there_is_not_adopted(self, case: Case) -> None:
        path = case.draft(LAYER)
        path.unlink()
        with pytest.raises(StorageError) as caught:
            await case.store.adopt(digest_of(LAYER), path)
        assert caught.value.fix
        assert await case.store.open(digest_of(LAYER)) is None

    async def test_putting_the_same_in_again_changes_nothing(self, case: Case) -> None:
        digest = await case.put(LAYER)
        reader = await case.open(digest)
        await case.put(LAYER)
        assert await read_all(reader) == LAYER == await read_all(await case.open(digest))
        assert await case.listed() == {digest: len(LAYER)}

    async def test_many_read_at_once_each_at_an_own_pace(self, case: Case) -> None:
        digest = await case.put(LAYER)
        blobs = [await case.open(digest) for _ in range(20)]
        pieces = [7_000 + 1_000 * number for number in range(20)]
        read = await asyncio.gather(*(read_all(blob, piece) for blob, piece in zip(blobs, pieces, strict=True)))
        assert set(read) == {LAYER}

    # -- removing

    async def test_what_is_deleted_is_gone_and_its_readers_go_on(self, case: Case) -> None:
        digest = await case.put(LAYER)
        reader = await case.open(digest)
        assert await case.store.delete(digest)
        assert not await case.store.delete(digest)
        assert await case.store.open(digest) is None
        assert await read_all(reader) == LAYER

    async def test_what_somebody_reads_is_not_collected(self, case: Case) -> None:
        digest = await case.put(LAYER)
        first, second = await case.open(digest), await case.open(digest)
        assert not await case.store.delete_unread(digest)
        first.close()
        assert not await case.store.delete_unread(digest)
        assert await read_all(second) == LAYER
        assert await case.store.delete_unread(digest)
        assert await case.store.open(digest) is None

    async def test_closing_twice_is_harmless(self, case: Case) -> None:
        digest = await case.put(b"x")
        blob, other = await case.open(digest), await case.open(digest)
        blob.close()
        blob.close()
        assert await read_all(other) == b"x"

    # -- telling what is there

    async def test_lists_all_blobs_of_both_algorithms(self, case: Case) -> None:
        assert await case.listed() == {}
        expected = {}
        for number in range(300):
            content = b"%d" % number
            expected[await case.put(content, "sha512" if number % 2 else "sha256")] = len(content)
        assert await case.listed() == expected

    async def test_says_when_a_blob_was_put_in(self, case: Case) -> None:
        before = time.time() - 2
        await case.put(LAYER)
        ((_, _, at),) = [entry async for entry in case.store.digests()]
        assert before < at < time.time() + 2

    # -- damage

    async def test_verifies_what_is_right(self, case: Case) -> None:
        digest = await case.put(LAYER)
        assert await case.store.verify(digest)
        assert await read_all(await case.open(digest)) == LAYER

    async def test_finds_damage_and_leaves_it_to_the_caller(self, case: Case) -> None:
        digest = await case.put(LAYER)
        case.spoil(digest)
        assert not await case.store.verify(digest)
        assert digest in await case.listed()

    async def test_damage_is_never_given_out_and_can_be_replaced(self, case: Case) -> None:
        digest = await case.put(LAYER)
        case.spoil(digest)
        assert await case.store.open(digest) is None
        assert await case.listed() == {}
        await case.put(LAYER)
        assert await read_all(await case.open(digest)) == LAYER
