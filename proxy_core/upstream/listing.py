"""Lists that come in pages: tags and referrers, put together within bounds."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from proxy_core.errors import RegistryError
from proxy_core.reference import Digest, Tag, parse_reference
from proxy_core.upstream.addresses import named_address
from proxy_core.upstream.failures import FailureKind, UpstreamFailure
from proxy_core.upstream.headers import next_link
from proxy_core.upstream.manifests import OCI_INDEX


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a list is read."""

    pages: int = 200
    size: int = 32 * 1024 * 1024  # bytes of all pages together
    tags: int = 1_000_000
    seconds: float = 120.0  # for all pages together
    page: int = 1000  # entries asked for in a page: the most that distribution allows where nothing else is configured


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its headers and its bytes."""

    response: httpx2.Response
    content: bytes


#: Fetches a page of at most so many bytes.
Fetch = Callable[[httpx2.URL, int], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of an upstream. ``subject`` as in "docker.io: the …"."""

    upstream: str
    subject: str
    fetch: Fetch
    bounds: Bounds

    async def tags(self, first: httpx2.URL) -> list[str]:
        """All tags, sorted bytewise, each once. What the grammar does not allow can not be pulled and is left out."""
        found: set[str] = set()
        async for page in self._pages(first):
            entries = page.get("tags") or []
            if not isinstance(entries, list):
                raise self._invalid("bad_list", "is no list of tags")
            found.update(entry for entry in entries if _is_tag(entry))
            if len(found) > self.bounds.tags:
                raise self._invalid("too_large", f"has more than {self.bounds.tags} entries")
        return sorted(found)

    async def index(self, first: httpx2.URL) -> bytes:
        """The descriptors of all pages, as they came, in one index."""
        descriptors: list[Any] = []
        async for page in self._pages(first):
            descriptors += self.descriptors(page)
        return index_of(descriptors)

    def descriptors(self, index: object) -> list[Any]:
        """:raises UpstreamFailure: ``INVALID``: it is no index."""
        entries = (index["manifests"] or []) if isinstance(index, dict) and "manifests" in index else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._invalid("bad_list", "is no image index")
        return entries

    async def _pages(self, first: httpx2.URL) -> AsyncIterator[dict[str, Any]]:
        url, left, seen = first, self.bounds.size, set[httpx2.URL]()
        while url not in seen:
            if len(seen) == self.bounds.pages:
                raise self._invalid("too_many_pages", f"has more than {self.bounds.pages} pages")
            seen.add(url)
            page = await self.fetch(url, left)
            left -= len(page.content)
            yield self._object(page.content)
            link = next_link(page.response.headers)
            if link is None:
                return
            url = self._following(url, link)
        raise self._invalid("page_loop", "leads from page to page in a circle")

    def _object(self, content: bytes) -> dict[str, Any]:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self._invalid("not_json", "is not a JSON object")
        return value

    def _following(self, url: httpx2.URL, link: str) -> httpx2.URL:
        target = named_address(link, url)
        if target is None or target.origin != url.origin:
            raise self._invalid("foreign_link", "goes on at another server")
        return target

    def _invalid(self, reason: str, what: str) -> UpstreamFailure:
        cause = f"{self.upstream}: the {self.subject} {what}."
        return UpstreamFailure(FailureKind.INVALID, reason, cause, "Check the upstream's url: is it a registry?")


def index_of(descriptors: list[Any]) -> bytes:
    """An image index of these descriptors."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}).encode()


def fallback_tag(digest: Digest) -> Tag:
    """Where referrers are listed without an API (distribution specification, "Referrers Tag Schema")."""
    return Tag(f"{digest.algorithm[:32]}-{digest.hex[:64]}")


def _is_tag(entry: object) -> bool:
    try:
        return isinstance(entry, str) and isinstance(parse_reference(entry), Tag)
    except RegistryError:
        return False
