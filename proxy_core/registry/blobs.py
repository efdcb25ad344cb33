"""Answers with a blob: whole or a range, from a file that is there or that still grows."""

from proxy_core.cache.blobs import Blobs, OpenBlob
from proxy_core.cache.manifests import State
from proxy_core.registry.bodies import Bodies, Head, Sent
from proxy_core.registry.freshness import freshness_headers
from proxy_core.registry.manifests import matches
from proxy_core.registry.ranges import Span, Wanted, parse_range, still_holds
from proxy_core.registry.replies import API_VERSION, HeaderList, Receive, Send
from proxy_core.registry.request import BlobRequest, Headers


class BlobAnswers:
    """Answers requests for blobs."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._bodies = Bodies()

    async def head(self, request: BlobRequest, send: Send, sent: Sent, now: float) -> None:
        """Answer HEAD: without a body, and with the length of the one that GET has, where it is known.

        :raises RegistryError: there is no such blob.
        """
        size, state = await self._blobs.size(request.place.image, request.digest)
        length = [(b"content-length", str(size).encode())] if size is not None else []
        sent.status, sent.state, sent.complete = 200, state, True
        await _start(send, 200, _headers(request, state, now, kept=False) + length)
        await send({"type": "http.response.body", "body": b""})

    async def get(
        self, request: BlobRequest, headers: Headers, receive: Receive, send: Send, sent: Sent, now: float
    ) -> None:
        """Answer GET: start when the first bytes are there, and end when the client has all of them or leaves.

        :raises RegistryError: before anything is written: there is no such blob, or no such range of it.
        :raises ProxyError: later: the rest will not come; the connection must be closed short of its length.
        """
        etag = f'"{request.digest}"'
        if headers.if_none_match is not None and matches(headers.if_none_match, etag):
            await self._blobs.size(request.place.image, request.digest)
            sent.status, sent.complete = 304, True
            await _start(send, 304, _headers(request, State.HIT, now))
            await send({"type": "http.response.body", "body": b""})
            return
        blob = await self._blobs.open(request.place.image, request.digest)
        try:
            sent.state = blob.state
            span = _span(headers, blob.reader.size, etag)
            head = Head(206 if span else 200, _headers(request, blob.state, now, blob.kept) + _lengths(span, blob))
            await self._bodies.send(head, blob.reader, span or Span(0, blob.reader.size), receive, send, sent)
        finally:
            blob.reader.close()


def _span(headers: Headers, size: int | None, etag: str) -> Span | None:
    """The part that is asked for; ``None``: the whole. Of an unknown size there are no parts, and of an empty body none
    that ``Content-Range`` could name (RFC 9110, sections 14.2 and 14.4)."""
    wanted = _wanted(headers, etag)
    return wanted.within(size) if wanted and size else None


def _wanted(headers: Headers, etag: str) -> Wanted | None:
    if headers.range is None:
        return None
    if_range = headers.if_range.decode("latin-1") if headers.if_range is not None else None
    return parse_range(headers.range.decode("latin-1")) if still_holds(if_range, etag) else None


def _lengths(span: Span | None, blob: OpenBlob) -> HeaderList:
    size = blob.reader.size
    if span and span.end is not None:
        return [
            (b"content-length", str(span.end - span.start).encode()),
            (b"content-range", f"bytes {span.start}-{span.end - 1}/{size}".encode()),
        ]
    return [(b"content-length", str(size).encode())] if size is not None else []


def _headers(request: BlobRequest, state: State, now: float, kept: bool = True) -> HeaderList:
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"docker-content-digest", str(request.digest).encode()),
        (b"etag", f'"{request.digest}"'.encode()),
        (b"accept-ranges", b"bytes"),
        API_VERSION,
        *freshness_headers(state, confirmed_at=None, now=now, kept=kept),
    ]
    if request.place.namespace:
        headers.append((b"oci-namespace", request.place.namespace.encode()))
    return headers


async def _start(send: Send, status: int, headers: HeaderList) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
