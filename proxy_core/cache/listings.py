"""Answers about a repository that are lists: its tags, and the referrers of a digest. Kept for a moment only."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from proxy_core.cache.failures import Trouble, as_answer
from proxy_core.cache.flights import Flights
from proxy_core.cache.manifests import ABSENT_FOR, State
from proxy_core.cache.memory import Memory
from proxy_core.cache.pauses import Pauses
from proxy_core.errors import RegistryError
from proxy_core.reference import Digest, Image
from proxy_core.settings import Upstream
from proxy_core.storage.index.model import Index, Listing
from proxy_core.upstream import FailureKind, UpstreamFailure

#: Seconds for which a list is given out again without asking.
KEPT_FOR: Final = 60.0
_REMEMBERED: Final = 4096


class ListSource(Protocol):
    """An upstream, as far as lists go."""

    @property
    def settings(self) -> Upstream: ...

    async def tags(self, path: str) -> list[str]: ...

    async def referrers(self, path: str, digest: Digest) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A list to answer with, as the upstream gave it at ``fetched_at`` (seconds since the epoch)."""

    content: bytes
    fetched_at: float
    state: State
    trouble: Trouble | None = None


class Listings:
    """The lists of all images.

    :param clock: seconds since the epoch.
    """

    def __init__(
        self, index: Index, sources: Mapping[str, ListSource], pauses: Pauses, *, clock: Callable[[], float]
    ) -> None:
        self._index = index
        self._sources = sources
        self._pauses = pauses
        self._clock = clock
        self._absent: Memory[tuple[Image, str], tuple[float, RegistryError]] = Memory(_REMEMBERED)
        self._flights: Flights[Listed] = Flights()

    async def tags(self, image: Image) -> Listed:
        """All tags, sorted by byte: a JSON array.

        :raises RegistryError: the upstream has no such repository, or fails and there is no copy.
        """
        source = self._sources[image.repository.upstream]

        async def ask() -> bytes:
            return json.dumps(await source.tags(image.repository.path)).encode()

        return await self._flights.join((image, "tags"), lambda: self._look(image, "tags", None, ask))

    async def referrers(self, image: Image, digest: Digest) -> Listed:
        """All referrers of a digest: an image index.

        :raises RegistryError: the upstream fails and there is no copy.
        """
        source = self._sources[image.repository.upstream]
        key = f"referrers {digest}"

        async def ask() -> bytes:
            return await source.referrers(image.repository.path, digest)

        return await self._flights.join((image, key), lambda: self._look(image, key, digest, ask))

    def forget(self) -> None:
        """Something was purged: what is remembered does not count any more."""
        self._absent.clear()

    async def close(self) -> None:
        await self._flights.close()

    async def _look(self, image: Image, key: str, digest: Digest | None, ask: Callable[[], Awaitable[bytes]]) -> Listed:
        absent = self._absent.get((image, key))
        if absent and self._clock() < absent[0]:
            raise absent[1].with_traceback(None)  # it is raised again and again
        listing = await self._index.listing(image, key)
        if listing and self._clock() - listing.fetched_at < KEPT_FOR:
            return Listed(listing.content, listing.fetched_at, State.HIT)
        try:
            async with self._pauses.asking(image.repository.upstream):
                content = await ask()
        except UpstreamFailure as failure:
            return self._fall_back(image, key, digest, listing, failure)
        listing = Listing(content, self._clock())
        await self._index.save_listing(image, key, listing)
        return Listed(content, listing.fetched_at, State.MISS)

    def _fall_back(
        self, image: Image, key: str, digest: Digest | None, listing: Listing | None, failure: UpstreamFailure
    ) -> Listed:
        oldest = self._clock() - self._sources[image.repository.upstream].settings.max_stale
        if failure.kind is FailureKind.NOT_FOUND or listing is None or listing.fetched_at < oldest:
            error: RegistryError = as_answer(failure, image.repository, digest, blob=False)
            if failure.kind is FailureKind.NOT_FOUND:
                self._absent.put((image, key), (self._clock() + ABSENT_FOR, error))
            raise error from failure
        return Listed(listing.content, listing.fetched_at, State.STALE, Trouble.of(failure))
