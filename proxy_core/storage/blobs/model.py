"""What a blob store must do. ``tests/storage/blobs`` has the suite that each one passes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from proxy_core.reference import Digest


class Blob(Protocol):
    """An open blob. It stays readable while it is open, also when it is deleted from the store meanwhile."""

    @property
    def size(self) -> int:
        """In bytes."""

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end.

        :raises StorageError: the bytes can not be read, or there are fewer than :attr:`size`.
        """

    def close(self) -> None: ...


class BlobStore(Protocol):
    """Blobs by digest. What it hands out hashes to its digest, or was checked when it was put in."""

    async def open(self, digest: Digest) -> Blob | None:
        """The blob, or ``None`` when it is not there or turned out to be damaged (then it is removed)."""

    async def adopt(self, digest: Digest, path: Path) -> None:
        """Take over a complete, verified file: durable when this returns, and there under its digest or not at all.

        :raises StorageError: it could not be taken over; ``path`` is left where it is.
        """

    async def delete(self, digest: Digest) -> bool:
        """Remove a blob; readers that have it open go on. False: it was not there."""

    async def delete_unread(self, digest: Digest) -> bool:
        """Remove a blob that nobody reads. False: it was not there, or somebody reads it."""

    def digests(self) -> AsyncIterator[tuple[Digest, int, float]]:
        """All blobs: digest, size, and when they were put in (seconds since the epoch)."""

    async def verify(self, digest: Digest) -> bool:
        """Read the whole blob and compare its hash. False: it is damaged or not there; it is not removed.

        :raises StorageError: the store can not be read, which says nothing of the blob.
        """
