"""Which bytes to serve for a blob: the stored ones, the growing ones, or, where nothing can be kept, the upstream's."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from proxy_core.cache.failures import as_answer
from proxy_core.cache.filling.fills import Fills
from proxy_core.cache.filling.readers import BlobReader, FillingBlob
from proxy_core.cache.filling.source import BlobSource, Order
from proxy_core.cache.flights import Flights
from proxy_core.cache.manifests import ABSENT_FOR, State
from proxy_core.cache.memory import Memory
from proxy_core.cache.pauses import Pauses
from proxy_core.errors import RegistryError
from proxy_core.reference import Digest, Image, Repository
from proxy_core.settings import Upstream
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from proxy_core.storage.index.model import Index
from proxy_core.upstream import FailureKind, UpstreamFailure

_REMEMBERED: Final = 16_384
_STALL_READS = 6  # read timeouts after which another process's fill counts as stuck


class BlobUpstream(BlobSource, Protocol):
    """An upstream, as far as blobs go."""

    @property
    def settings(self) -> Upstream: ...

    async def head_blob(self, path: str, digest: Digest) -> int | None: ...


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """A blob to answer with. Its reader must be closed."""

    reader: BlobReader
    state: State
    kept: bool  # false: it is passed through, since it can not be kept


class _Told:
    """A reader of bytes that are still to come, whose failures are told as a client is to hear them."""

    def __init__(self, reader: BlobReader, repository: Repository, digest: Digest) -> None:
        self._reader = reader
        self._repository = repository
        self._digest = digest

    @property
    def size(self) -> int | None:
        return self._reader.size

    async def read(self, offset: int, length: int) -> bytes:
        try:
            return await self._reader.read(offset, length)
        except UpstreamFailure as failure:
            raise as_answer(failure, self._repository, self._digest, blob=True) from failure

    def close(self) -> None:
        self._reader.close()


class Blobs:
    """The blobs of all images. Bytes are shared between groups, rights are not: a blob is an image's when a manifest
    that the image has refers to it, or when the upstream says that its repository has it.

    :param clock: seconds since the epoch.
    :param read: told of each stored blob that is given out.
    """

    def __init__(
        self,
        index: Index,
        store: FilesystemBlobs,
        fills: Fills,
        sources: Mapping[str, BlobUpstream],
        pauses: Pauses,
        *,
        clock: Callable[[], float],
        read: Callable[[Digest], None],
    ) -> None:
        self._index = index
        self._store = store
        self._fills = fills
        self._sources = sources
        self._pauses = pauses
        self._clock = clock
        self._read = read
        self._claims: Memory[tuple[Image, Digest], int] = Memory(_REMEMBERED)
        self._absent: Memory[tuple[Image, Digest], tuple[float, RegistryError]] = Memory(_REMEMBERED)
        self._claiming: Flights[int | None] = Flights()

    async def open(self, image: Image, digest: Digest) -> OpenBlob:
        """The blob, to read from any offset.

        :raises RegistryError: there is none; with the cause, as a client is told it.
        """
        size = await self._claim(image, digest)
        order = Order(digest, image.repository.path, size)
        while True:
            if stored := await self._store.open(digest):
                self._read(digest)
                return OpenBlob(stored, State.HIT, kept=True)
            async with self._asking(image, digest, joining=self._fills.holds(digest)) as source:
                reader = await self._fills.open(
                    order,
                    source,
                    max_size=source.settings.max_blob,
                    stall=_STALL_READS * source.settings.timeouts.read,
                )
            if reader is not None:
                told = _Told(reader, image.repository, digest)
                return OpenBlob(told, State.MISS, kept=isinstance(reader, FillingBlob))

    async def size(self, image: Image, digest: Digest) -> tuple[int | None, State]:
        """The blob's size in bytes, without fetching it, and whether it is here; ``None``: the upstream does not say.

        :raises RegistryError: there is no such blob.
        """
        size = await self._claim(image, digest)
        if stored := await self._store.open(digest):
            stored.close()
            return stored.size, State.HIT
        async with self._asking(image, digest) as source:
            said = await source.head_blob(image.repository.path, digest)
        return said if said is not None else size, State.MISS

    def forget(self) -> None:
        """Something was purged: what is remembered does not count any more."""
        self._claims.clear()
        self._absent.clear()

    async def close(self) -> None:
        await self._claiming.close()

    async def _claim(self, image: Image, digest: Digest) -> int | None:
        """The size of a blob that the image has a claim to, where it is known."""
        if (size := self._claims.get((image, digest))) is not None:
            return size
        return await self._claiming.join((image, digest), lambda: self._look_for_claim(image, digest))

    async def _look_for_claim(self, image: Image, digest: Digest) -> int | None:
        size = await self._index.blob_size(image, digest)
        if size is None:
            size = await self._ask_for_claim(image, digest)
        if size is not None:
            self._claims.put((image, digest), size)
        return size

    async def _ask_for_claim(self, image: Image, digest: Digest) -> int | None:
        async with self._asking(image, digest) as source:
            size = await source.head_blob(image.repository.path, digest)
        if size is not None:
            await self._index.grant_blob(image, digest, size)
        return size

    @asynccontextmanager
    async def _asking(self, image: Image, digest: Digest, *, joining: bool = False) -> AsyncIterator[BlobUpstream]:
        """The upstream, to be asked for a blob; it fails as a client is told it.

        Blobs have a pause of their own: Docker Hub's limit counts manifests, and blobs go on.

        :param joining: somebody asked it already; to join him asks it nothing, so no pause counts.
        """
        absent = self._absent.get((image, digest))
        if absent and self._clock() < absent[0]:
            raise absent[1].with_traceback(None)  # it is raised again and again
        upstream = image.repository.upstream
        try:
            async with nullcontext() if joining else self._pauses.asking(f"{upstream} blobs"):
                yield self._sources[upstream]
        except UpstreamFailure as failure:
            error = as_answer(failure, image.repository, digest, blob=True)
            if failure.kind is FailureKind.NOT_FOUND:
                self._absent.put((image, digest), (self._clock() + ABSENT_FOR, error))
            raise error from failure
