"""What was read, gathered until the next batch goes into the index."""

from collections.abc import Callable

from proxy_core.reference import Digest, Image
from proxy_core.storage.index.model import Index

_MOST = 50_000


class Reads:
    """Manifests and blobs that were read since the last :meth:`flush`. Bounded: what is more waits to be read again."""

    def __init__(self, index: Index, clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock
        self._manifests: set[tuple[Image, Digest]] = set()
        self._blobs: set[Digest] = set()

    def manifest(self, image: Image, digest: Digest) -> None:
        if len(self._manifests) < _MOST:
            self._manifests.add((image, digest))

    def blob(self, digest: Digest) -> None:
        if len(self._blobs) < _MOST:
            self._blobs.add(digest)

    async def flush(self) -> None:
        """:raises StorageError: the index can not be written; the batch is lost, and nothing else with it."""
        manifests, self._manifests = self._manifests, set()
        blobs, self._blobs = self._blobs, set()
        if manifests or blobs:
            await self._index.touch(manifests, blobs, self._clock())
