"""Which manifest to serve: from the cache, confirmed by the upstream, fetched, or, when the upstream fails, stale."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from proxy_core.cache.failures import Trouble, as_answer
from proxy_core.cache.flights import Flights, hold
from proxy_core.cache.memory import Memory
from proxy_core.cache.pauses import Pauses
from proxy_core.cache.references import references_of
from proxy_core.errors import RegistryError, Unavailable
from proxy_core.reference import Digest, Image, Reference, Tag
from proxy_core.settings import Upstream
from proxy_core.storage.index.model import Index, Manifest, TaggedManifest
from proxy_core.storage.locks import Locks
from proxy_core.upstream import FailureKind, FetchedManifest, ManifestHead, UpstreamFailure

#: Seconds for which "there is no such manifest" is believed.
ABSENT_FOR: Final = 30.0
_REMEMBERED = 4096
_REMEMBERED_BYTES = 8 * 1024 * 1024


class State(StrEnum):
    """How an answer came about; the words of metrics and logs."""

    HIT = "hit"  # nobody outside was asked
    REVALIDATED = "revalidated"  # the upstream confirmed the copy
    MISS = "miss"  # the upstream gave it
    STALE = "stale"  # the upstream failed; the copy is served with a warning


@dataclass(frozen=True, slots=True)
class Served:
    """A manifest to answer with.

    ``confirmed_at`` is when the upstream last said that the tag is this manifest; ``None`` for a digest, which needs no
    confirming. ``fresh_until`` is up to when the same answer holds without asking (seconds since the epoch).
    """

    manifest: Manifest
    state: State
    confirmed_at: float | None = None
    fresh_until: float | None = None
    trouble: Trouble | None = None


class ManifestSource(Protocol):
    """An upstream, as far as manifests go."""

    @property
    def settings(self) -> Upstream: ...

    async def head_manifest(self, path: str, reference: Reference) -> ManifestHead: ...

    async def get_manifest(self, path: str, reference: Reference) -> FetchedManifest: ...


class Manifests:
    """The manifests of all images.

    :param clock: seconds since the epoch.
    :param read: told of each manifest that is given out.
    """

    def __init__(
        self,
        index: Index,
        locks: Locks,
        sources: Mapping[str, ManifestSource],
        pauses: Pauses,
        *,
        clock: Callable[[], float],
        read: Callable[[Image, Digest], None],
    ) -> None:
        self._index = index
        self._locks = locks
        self._sources = sources
        self._pauses = pauses
        self._clock = clock
        self._read = read
        self._by_digest: Memory[tuple[Image, Digest], Manifest] = Memory(
            _REMEMBERED, _REMEMBERED_BYTES, lambda manifest: len(manifest.content)
        )
        self._by_tag: Memory[tuple[Image, str], TaggedManifest] = Memory(
            _REMEMBERED, _REMEMBERED_BYTES, lambda tagged: len(tagged.manifest.content)
        )
        self._absent: Memory[tuple[Image, Reference], tuple[float, RegistryError]] = Memory(_REMEMBERED)
        self._flights: Flights[Served] = Flights()

    async def get(self, image: Image, reference: Reference) -> Served:
        """The manifest to answer with.

        :raises RegistryError: there is none; with the cause, as a client is told it.
        """
        served = self.remembered(image, reference)
        if served is None:
            self._raise_if_absent(image, reference)
            served = await self._flights.join((image, reference), lambda: self._look(image, reference))
        self._read(image, served.manifest.digest)
        return served

    def remembered(self, image: Image, reference: Reference) -> Served | None:
        """The answer, if it is in memory and needs nobody to be asked."""
        if isinstance(reference, Digest):
            manifest = self._by_digest.get((image, reference))
            return Served(manifest, State.HIT) if manifest else None
        tagged = self._by_tag.get((image, reference.name))
        return self._fresh(image, tagged) if tagged else None

    def forget(self) -> None:
        """Something was purged: what is remembered does not count any more."""
        self._by_digest.clear()
        self._by_tag.clear()
        self._absent.clear()

    async def close(self) -> None:
        await self._flights.close()

    async def _look(self, image: Image, reference: Reference) -> Served:
        try:
            if isinstance(reference, Digest):
                return await self._look_for_digest(image, reference)
            return await self._look_for_tag(image, reference)
        except UpstreamFailure as failure:
            error = as_answer(failure, image.repository, reference, blob=False)
            if failure.kind is FailureKind.NOT_FOUND:
                self._absent.put((image, reference), (self._clock() + ABSENT_FOR, error))
            raise error from failure

    def _raise_if_absent(self, image: Image, reference: Reference) -> None:
        absent = self._absent.get((image, reference))
        if absent and self._clock() < absent[0]:
            raise absent[1].with_traceback(None)  # it is raised again and again

    # -- by digest: what is here is right for ever

    async def _look_for_digest(self, image: Image, digest: Digest) -> Served:
        manifest = await self._index.manifest(image, digest)
        if manifest:
            # A child of an index that the image has becomes its own, so that purge and list know it.
            await self._index.save(image, manifest, references_of(manifest), None, self._clock())
            return self._keep(image, manifest, State.HIT)
        lock = await hold(self._locks, f"manifest {image} {digest}", self._patience(image))
        try:
            if manifest := await self._index.manifest(image, digest):
                return self._keep(image, manifest, State.HIT)
            async with self._pauses.asking(image.repository.upstream):
                return self._keep(image, await self._obtain(image, digest, None), State.MISS)
        finally:
            lock.release()

    # -- by tag: as fresh as the operator wants it

    async def _look_for_tag(self, image: Image, tag: Tag) -> Served:
        asked_at = self._clock()
        try:
            lock = await hold(self._locks, f"manifest {image} {tag}", self._patience(image))
        except Unavailable as error:
            tagged = await self._index.tagged(image, tag.name)
            if copy := self._stale(image, tagged, Trouble(FailureKind.OUTAGE.value, error.cause)):
                return copy
            raise
        try:
            tagged = await self._index.tagged(image, tag.name)
            if tagged and (fresh := self._fresh(image, tagged, asked_at)):
                self._by_tag.put((image, tag.name), tagged)
                return fresh
            try:
                return await self._ask(image, tag, tagged)
            except UpstreamFailure as failure:
                return await self._fall_back(image, tag, tagged, failure)
        finally:
            lock.release()

    async def _ask(self, image: Image, tag: Tag, tagged: TaggedManifest | None) -> Served:
        """One HEAD; a GET only when the tag is a manifest that is not here."""
        async with self._pauses.asking(image.repository.upstream):
            head = await self._head(image, tag)
            state = State.MISS
            if tagged and head and head.digest == tagged.manifest.digest:
                manifest = tagged.manifest
                if not await self._index.confirm(image, tag.name, manifest.digest, self._clock()):  # purged meanwhile
                    await self._index.save(image, manifest, references_of(manifest), tag.name, self._clock())
                state = State.REVALIDATED
            else:
                manifest = await self._obtain_tagged(image, tag, head.digest if head else None)
        self._keep(image, manifest, state)
        tagged = TaggedManifest(manifest, self._clock())
        self._by_tag.put((image, tag.name), tagged)
        return Served(manifest, state, tagged.confirmed_at, tagged.confirmed_at + self._freshness(image))

    async def _head(self, image: Image, reference: Reference) -> ManifestHead | None:
        """What the upstream's HEAD says; ``None`` when it does not answer HEAD, though it may answer GET."""
        try:
            return await self._source(image).head_manifest(image.repository.path, reference)
        except UpstreamFailure as failure:
            if failure.status in (400, 405, 501):
                return None
            raise

    async def _obtain_tagged(self, image: Image, tag: Tag, announced: Digest | None) -> Manifest:
        """What the tag is, by the digest that the upstream announced for it; by the tag itself where it announced none,
        or one that it does not have: the tag has moved since, or the announcement is wrong.

        :raises UpstreamFailure: the upstream does not give it.
        """
        if announced:
            try:
                return await self._obtain(image, announced, tag.name)
            except UpstreamFailure as failure:
                if failure.kind is not FailureKind.NOT_FOUND:
                    raise
        return await self._obtain(image, tag, tag.name)

    async def _obtain(self, image: Image, wanted: Reference, tag: str | None) -> Manifest:
        """A manifest that the image does not have yet: from another group's copy if the upstream agrees, else by GET.

        :raises UpstreamFailure: the upstream does not give it.
        """
        path = image.repository.path
        source = self._source(image)
        if isinstance(wanted, Digest) and (known := await self._index.known(wanted)):
            if tag is None:  # a HEAD of the tag has proven it already
                await source.head_manifest(path, wanted)
            manifest = known
        else:
            fetched = await source.get_manifest(path, wanted)
            manifest = Manifest(fetched.digest, fetched.media_type, fetched.content)
        await self._index.save(image, manifest, references_of(manifest), tag, self._clock())
        return manifest

    async def _fall_back(
        self, image: Image, tag: Tag, tagged: TaggedManifest | None, failure: UpstreamFailure
    ) -> Served:
        """The upstream failed. A tag that it says is gone is gone; for all else the copy serves, for a while."""
        if failure.kind is FailureKind.NOT_FOUND:
            await self._index.forget(image, tag.name)
            self._by_tag.drop((image, tag.name))
            raise failure
        if copy := self._stale(image, tagged, Trouble.of(failure)):
            return copy
        raise failure

    def _stale(self, image: Image, tagged: TaggedManifest | None, trouble: Trouble) -> Served | None:
        """The copy, as long as it may serve."""
        if tagged is None or self._clock() - tagged.confirmed_at > self._source(image).settings.max_stale:
            return None
        return Served(tagged.manifest, State.STALE, tagged.confirmed_at, trouble=trouble)

    def _fresh(self, image: Image, tagged: TaggedManifest, asked_at: float | None = None) -> Served | None:
        """The tag as it is here, if it was confirmed within its freshness, or since somebody began to wait for that."""
        until = tagged.confirmed_at + self._freshness(image)
        if self._clock() < until or (asked_at is not None and tagged.confirmed_at >= asked_at):
            return Served(tagged.manifest, State.HIT, tagged.confirmed_at, until)
        return None

    def _keep(self, image: Image, manifest: Manifest, state: State) -> Served:
        self._by_digest.put((image, manifest.digest), manifest)
        self._absent.drop((image, manifest.digest))
        return Served(manifest, state)

    def _patience(self, image: Image) -> float:
        """Seconds to wait for another process that asks the upstream for the same: a HEAD, and a GET."""
        timeouts = self._source(image).settings.timeouts
        return 2 * (timeouts.connect + timeouts.read)

    def _freshness(self, image: Image) -> float:
        return self._source(image).settings.freshness

    def _source(self, image: Image) -> ManifestSource:
        return self._sources[image.repository.upstream]
