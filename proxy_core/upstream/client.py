"""One upstream, asked: manifests, lists and token endpoints from the event loop, blobs from the threads of fills."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import httpx2

from proxy_core.reference import Digest, Reference
from proxy_core.settings.model import Upstream
from proxy_core.upstream.blobs import BlobStream
from proxy_core.upstream.driver import AsyncDriver, Driver
from proxy_core.upstream.exchange import Exchange, Question
from proxy_core.upstream.failures import FAULTS, FailureKind, UpstreamFailure
from proxy_core.upstream.headers import content_length
from proxy_core.upstream.listing import Bounds, Listing, Page, fallback_tag, index_of
from proxy_core.upstream.manifests import ACCEPT, OCI_INDEX, FetchedManifest, ManifestCheck, ManifestHead
from proxy_core.upstream.reading import Meter, Reader, adiscard

# What registries answer where they do not know the referrers API.
_NO_REFERRERS_API: Final = frozenset({"not_found", "status_400", "status_405", "status_406", "status_501"})


class UpstreamClient:
    """Asks one upstream. Made once for a worker process, by :func:`open_upstream`.

    Every method raises :class:`UpstreamFailure`, and nothing else, when the upstream does not give what it is asked
    for. Paths are repositories as :func:`proxy_core.reference.parse_path` lets them through.
    """

    def __init__(
        self,
        settings: Upstream,
        exchange: Exchange,
        driver: Driver,
        async_driver: AsyncDriver,
        reader: Reader,
        bounds: Bounds,
    ) -> None:
        self.settings = settings
        self._exchange = exchange
        self._driver = driver
        self._async_driver = async_driver
        self._reader = reader
        self._bounds = bounds

    @property
    def name(self) -> str:
        return self.settings.name

    async def head_manifest(self, path: str, reference: Reference) -> ManifestHead:
        """What the upstream tells of a manifest without giving it. Docker Hub counts no pull for this."""
        question = self._manifest_question("manifest_head", path, reference, method="HEAD")
        response = await self._async_driver.run(self._exchange.ask(question))
        await adiscard(response)
        return self._check(question, reference).head(response, content_length(response.headers))

    async def get_manifest(self, path: str, reference: Reference) -> FetchedManifest:
        """A manifest that is what was asked for: see :meth:`ManifestCheck.whole`."""
        question = self._manifest_question("manifest", path, reference)
        page = await self._document(question, self.settings.max_manifest)
        return self._check(question, reference).whole(page.response, page.content)

    async def head_blob(self, path: str, digest: Digest) -> int | None:
        """The size of a blob in bytes, if the upstream tells it."""
        question = self._blob_question("blob_head", path, digest, method="HEAD")
        response = await self._async_driver.run(self._exchange.ask(question))
        await adiscard(response)
        return content_length(response.headers)

    async def tags(self, path: str) -> list[str]:
        """All tags of a repository, sorted bytewise."""
        async with self._listing("tags", path, f"tags of {path}", "application/json") as tags:
            return await tags.tags(self._url(path, f"tags/list?n={self._bounds.page}"))

    async def referrers(self, path: str, digest: Digest) -> bytes:
        """An image index of what refers to a manifest: the descriptors as the upstream gave them.

        Where the upstream has no referrers API, the index under the fallback tag; where there is no such tag either,
        an empty one.
        """
        async with self._listing("referrers", path, f"referrers of {digest} in {path}", OCI_INDEX) as referrers:
            try:
                return await referrers.index(self._url(path, f"referrers/{digest}"))
            except UpstreamFailure as failure:
                if failure.reason not in _NO_REFERRERS_API:
                    raise
            try:
                tagged = await self.get_manifest(path, fallback_tag(digest))
            except UpstreamFailure as failure:
                if failure.kind is not FailureKind.NOT_FOUND:
                    raise
                return index_of([])
            return index_of(referrers.descriptors(json.loads(tagged.content)))

    @contextmanager
    def open_blob(self, path: str, digest: Digest, offset: int = 0) -> Generator[BlobStream]:
        """The bytes of a blob, from ``offset`` on if the upstream can do that: see :attr:`BlobStream.start`.

        Synchronous, for the thread of a fill. Nothing is checked here against the digest.
        """
        ranged = {"Range": f"bytes={offset}-"} if offset else {}
        question = self._blob_question("blob", path, digest, headers=ranged)
        response = self._driver.run(self._exchange.ask(question))
        try:
            meter, clock = Meter(self._reader.pace), self._reader.clock
            yield BlobStream(response, self.settings, question.subject, offset=offset, meter=meter, clock=clock)
        finally:
            response.close()

    async def close(self) -> None:
        """Close all connections. Streams that are still open end with a failure."""
        await self._async_driver.close()
        self._driver.close()

    # The questions

    def _url(self, path: str, rest: str) -> httpx2.URL:
        return httpx2.URL(f"{self.settings.url}/v2/{path}/{rest}")

    def _manifest_question(self, kind: str, path: str, reference: Reference, method: str = "GET") -> Question:
        named = f"{path}@{reference}" if isinstance(reference, Digest) else f"{path}:{reference}"
        url = self._url(path, f"manifests/{reference}")
        return Question(kind, f"manifest {named}", path, url, method, {"Accept": ACCEPT})

    def _blob_question(
        self, kind: str, path: str, digest: Digest, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Question:
        url = self._url(path, f"blobs/{digest}")
        return Question(kind, f"blob {digest} of {path}", path, url, method, headers or {})

    def _check(self, question: Question, reference: Reference) -> ManifestCheck:
        return ManifestCheck(self.name, question.subject, reference)

    # The answers

    async def _document(self, question: Question, limit: int) -> Page:
        """An answer with its whole body."""
        response = await self._async_driver.run(self._exchange.ask(question))
        try:
            return Page(response, await self._reader.aread(response, limit))
        except FAULTS as error:
            raise self._exchange.failure(error, response.request.url.host) from error
        finally:
            await response.aclose()

    @asynccontextmanager
    async def _listing(self, kind: str, path: str, subject: str, accept: str) -> AsyncGenerator[Listing]:
        """A list whose pages come within :attr:`Bounds.seconds` altogether."""

        async def fetch(url: httpx2.URL, limit: int) -> Page:
            return await self._document(Question(kind, subject, path, url, headers={"Accept": accept}), limit)

        try:
            async with asyncio.timeout(self._bounds.seconds):
                yield Listing(self.name, subject, fetch, self._bounds)
        except TimeoutError as error:
            raise self._exchange.failure(error, httpx2.URL(self.settings.url).host) from error
