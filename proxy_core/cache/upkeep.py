"""What an operator does to the cache, beside a running server or without one: verify, and collect."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from proxy_core.reference import Digest
from proxy_core.storage.folder import Folder
from proxy_core.storage.index.model import Index

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One blob that was not as it should be, and what was done."""

    digest: Digest
    what: str


async def verify(folder: Folder, index: Index) -> AsyncIterator[Finding]:
    """Read and hash every blob; remove what is damaged, so that the next pull fetches it anew. Then make the index and
    the store agree.

    :raises StorageError: the folder or the index can not be used.
    """
    async for batch in _batches(folder):
        for digest, _, _ in batch:
            if not await folder.blobs.verify(digest) and await folder.blobs.delete(digest):
                await index.drop_blob(digest)
                yield Finding(digest, "damaged, removed")
        for digest in await index.unknown([digest for digest, _, _ in batch]):
            if (blob := await folder.blobs.open(digest)) is not None:
                await index.add_blob(digest, blob.size, time.time())
                blob.close()
                yield Finding(digest, "was not in the index, added")
    after = ""
    while page := await index.blobs(after, _PAGE):
        for digest, _ in page:
            if not folder.blobs.path(digest).exists():
                await index.drop_blob(digest)
                yield Finding(digest, "was in the index without a file, forgotten")
        after = str(page[-1][0])


async def collect(folder: Folder, index: Index) -> AsyncIterator[Finding]:
    """Remove what nothing refers to, but nothing that is being read or filled.

    :raises StorageError: the folder or the index can not be used.
    """
    async for batch in _batches(folder):
        sizes = {digest: size for digest, size, _ in batch}
        for digest in await index.unknown(sizes):
            # Its server died before it could say so. If something refers to it, it is a blob like any other.
            await index.add_blob(digest, sizes[digest], time.time())
    while await index.drop_unreferenced_manifests(_PAGE):
        pass
    kept: set[Digest] = set()
    while candidates := [one for one in await index.collectable(time.time(), _PAGE + len(kept)) if one not in kept]:
        for digest in candidates:
            if await _remove(folder, index, digest):
                yield Finding(digest, "nothing refers to it, removed")
            else:
                kept.add(digest)
    folder.spool.clean()


async def _remove(folder: Folder, index: Index, digest: Digest) -> bool:
    lock = folder.spool.lead(digest)
    if lock is None:  # it is being filled
        return False
    try:
        if not await folder.blobs.delete_unread(digest) and folder.blobs.path(digest).exists():
            return False
        await index.drop_blob(digest)
        return True
    finally:
        lock.release()


async def _batches(folder: Folder) -> AsyncIterator[list[tuple[Digest, int, float]]]:
    batch: list[tuple[Digest, int, float]] = []
    async for entry in folder.blobs.digests():
        batch.append(entry)
        if len(batch) == _PAGE:
            yield batch
            batch = []
    if batch:
        yield batch
