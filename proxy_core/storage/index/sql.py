"""The index in a database: :class:`SqlIndex`, and :func:`open_index` for the one beside the blobs."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from proxy_core.errors import StorageError
from proxy_core.reference import Digest, Image, Repository
from proxy_core.storage.index import blobs, counters, entries, listings, manifests, revision, upstreams
from proxy_core.storage.index.connections import Connections, open_sqlite, sqlite_url
from proxy_core.storage.index.counters import Counter
from proxy_core.storage.index.failures import explained
from proxy_core.storage.index.model import (
    Descriptor,
    Entry,
    Listing,
    Manifest,
    Pause,
    Purged,
    Quota,
    TaggedManifest,
)
from proxy_core.storage.index.purge import purge

P = ParamSpec("P")
T = TypeVar("T")

#: The name of the index in the storage folder.
FILE: Final = "index.sqlite"


async def open_index(directory: Path, lost: Callable[[StorageError], None] | None = None) -> "SqlIndex":
    """The index of a storage folder, which :func:`.migrate.migrate` has prepared. Close it in the end.

    :param lost: told of each write that failed and that a pull can do without (what was saved, confirmed, granted,
        read, paused), as on a full disk: the cache then forgets, and the pull goes on. ``None``: such writes raise.
    :raises StorageError: there is none, it is of another revision, damaged, or without rights.
    """
    file = directory / FILE
    await asyncio.to_thread(_probe, file)
    return SqlIndex(open_sqlite(file), lost)


def _probe(file: Path) -> None:
    # By itself, not by a connection that is kept: when aiosqlite can not connect it leaves its thread alone, which then
    # prints a traceback if the loop has ended because of that.
    engine = create_engine(sqlite_url("sqlite", file, "rw"), poolclass=NullPool)
    with explained(str(file)), engine.connect() as connection:
        revision.require(connection, str(file))


def _touch(
    connection: Connection,
    read_manifests: Collection[tuple[Image, Digest]],
    read_blobs: Collection[Digest],
    now: float,
) -> None:
    manifests.touch(connection, read_manifests, now)
    blobs.touch(connection, read_blobs, now)


class SqlIndex:
    """:class:`.model.Index` in tables. Its methods are documented there; each is one transaction."""

    __slots__ = ("_connections", "_lost")

    def __init__(self, connections: Connections, lost: Callable[[StorageError], None] | None = None) -> None:
        self._connections = connections
        self._lost = lost

    # -- manifests and tags
    async def tagged(self, image: Image, tag: str) -> TaggedManifest | None:
        return await self._connections.read(manifests.tagged, image, tag)

    async def manifest(self, image: Image, digest: Digest) -> Manifest | None:
        return await self._connections.read(manifests.manifest, image, digest)

    async def known(self, digest: Digest) -> Manifest | None:
        return await self._connections.read(manifests.known, digest)

    async def save(
        self, image: Image, manifest: Manifest, references: Sequence[Descriptor], tag: str | None, now: float
    ) -> None:
        await self._note(manifests.save, image, manifest, references, tag, now)

    async def confirm(self, image: Image, tag: str, digest: Digest, now: float) -> bool:
        return await self._note(manifests.confirm, image, tag, digest, now) is not False

    async def forget(self, image: Image, tag: str) -> None:
        await self._note(manifests.forget, image, tag)

    # -- blobs
    async def blob_size(self, image: Image, digest: Digest) -> int | None:
        return await self._connections.read(blobs.size, image, digest)

    async def grant_blob(self, image: Image, digest: Digest, size: int) -> None:
        await self._note(blobs.grant, image, digest, size)

    async def add_blob(self, digest: Digest, size: int, now: float) -> None:
        await self._connections.write(blobs.add, digest, size, now)

    async def drop_blob(self, digest: Digest) -> None:
        await self._connections.write(blobs.drop, digest)

    async def stored_bytes(self) -> int:
        return await self._connections.read(counters.value, Counter.STORED_BYTES)

    # -- reading
    async def touch(self, manifests: Collection[tuple[Image, Digest]], blobs: Collection[Digest], now: float) -> None:
        if manifests or blobs:
            await self._note(_touch, manifests, blobs, now)

    # -- listings
    async def listing(self, image: Image, key: str) -> Listing | None:
        return await self._connections.read(listings.listing, image, key)

    async def save_listing(self, image: Image, key: str, listing: Listing) -> None:
        await self._note(listings.save, image, key, listing)

    # -- upstreams
    async def pause(self, upstream: str) -> Pause | None:
        return await self._connections.read(upstreams.pause, upstream)

    async def save_pause(self, upstream: str, pause: Pause | None) -> None:
        await self._note(upstreams.save_pause, upstream, pause)

    async def save_quota(self, quota: Quota) -> None:
        await self._note(upstreams.save_quota, quota)

    async def quotas(self) -> Sequence[Quota]:
        return await self._connections.read(upstreams.quotas_seen)

    # -- operation
    async def generation(self) -> int:
        return await self._connections.read(counters.value, Counter.GENERATION)

    async def purge(self, group: str, repository: Repository | None = None, tag: str | None = None) -> Purged:
        return await self._connections.write(purge, group, repository, tag)

    async def entries(
        self, group: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> tuple[Sequence[Entry], int]:
        return await self._connections.read(entries.page, group, after, limit)

    async def drop_unreferenced_manifests(self, limit: int) -> int:
        return await self._connections.write(manifests.drop_unreferenced, limit)

    async def collectable(self, before: float, limit: int) -> Sequence[Digest]:
        return await self._connections.read(blobs.collectable, before, limit)

    async def blobs(self, after: str = "", limit: int = 1000) -> Sequence[tuple[Digest, int]]:
        return await self._connections.read(blobs.page, after, limit)

    async def unknown(self, digests: Collection[Digest]) -> Collection[Digest]:
        return await self._connections.read(blobs.unknown, digests)

    async def check(self) -> None:
        await self._connections.read(revision.require, self._connections.place)

    async def close(self) -> None:
        await self._connections.close()

    async def _note(
        self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """A change that a pull can do without. ``None``: it was lost."""
        try:
            return await self._connections.write(change, *args, **kwargs)
        except StorageError as error:
            if self._lost is None:
                raise
            self._lost(error)
            return None
