"""Answers with a blob: whole or a range, from a file that is there or that still grows."""

import asyncio
from dataclasses import dataclass
from typing import Final

from proxy_core.cache.blobs import Blobs, OpenBlob
from proxy_core.cache.filling.readers import BlobReader
from proxy_core.cache.manifests import State
from proxy_core.registry.freshness import freshness_headers
from proxy_core.registry.manifests import matches
from proxy_core.registry.ranges import Span, Wanted, parse_range, still_holds
from proxy_core.registry.replies import API_VERSION, HeaderList, Receive, Reply, Send
from proxy_core.registry.request import BlobRequest, Headers

#: How much is read and sent at a time.
CHUNK: Final = 256 * 1024


@dataclass(slots=True)
class Sent:
    """How the writing of a body went; filled in while it goes."""

    status: int
    state: State
    size: int = 0  # bytes of the body that were sent
    complete: bool = False


async def blob_head(request: BlobRequest, blobs: Blobs, now: float) -> tuple[Reply, HeaderList]:
    """The answer to HEAD: without a body, and with the length of the one that GET has, where it is known.

    :raises RegistryError: there is no such blob.
    """
    size = await blobs.size(request.place.image, request.digest)
    headers = _headers(request, State.HIT, now)
    length = [(b"content-length", str(size).encode())] if size is not None else []
    return Reply(200, headers), length


async def answer_blob(
    request: BlobRequest, headers: Headers, blobs: Blobs, receive: Receive, send: Send, sent: Sent, now: float
) -> None:
    """Answer GET: start when the first bytes are there, and end when the client has all of them or leaves.

    :raises RegistryError: before anything is written: there is no such blob, or no such range of it.
    :raises ProxyError: later: the rest will not come; the connection must be closed short of its length.
    """
    etag = f'"{request.digest}"'
    if headers.if_none_match is not None and matches(headers.if_none_match, etag):
        await blobs.size(request.place.image, request.digest)
        sent.status, sent.complete = 304, True
        await _start(send, 304, _headers(request, State.HIT, now))
        await send({"type": "http.response.body", "body": b""})
        return
    blob = await blobs.open(request.place.image, request.digest)
    try:
        sent.state = blob.state
        span = _span(headers, blob.reader.size, etag)
        await _start(send, _status(span), _headers(request, blob.state, now, blob.kept) + _lengths(span, blob))
        sent.status = _status(span)
        await _body(blob.reader, span or Span(0, blob.reader.size), receive, send, sent)
    finally:
        blob.reader.close()


def _span(headers: Headers, size: int | None, etag: str) -> Span | None:
    """The part that is asked for; ``None``: the whole. Without a known size there are no ranges (RFC 9110, 14.2)."""
    wanted = _wanted(headers, etag)
    return wanted.within(size) if wanted and size is not None else None


def _wanted(headers: Headers, etag: str) -> Wanted | None:
    if headers.range is None:
        return None
    if_range = headers.if_range.decode("latin-1") if headers.if_range is not None else None
    return parse_range(headers.range.decode("latin-1")) if still_holds(if_range, etag) else None


def _status(span: Span | None) -> int:
    return 206 if span else 200


def _lengths(span: Span | None, blob: OpenBlob) -> HeaderList:
    size = blob.reader.size
    if span and span.end is not None:
        return [
            (b"content-length", str(span.end - span.start).encode()),
            (b"content-range", f"bytes {span.start}-{span.end - 1}/{size}".encode()),
        ]
    return [(b"content-length", str(size).encode())] if size is not None else []


def _headers(request: BlobRequest, state: State, now: float, kept: bool = True) -> HeaderList:
    return [
        (b"content-type", b"application/octet-stream"),
        (b"docker-content-digest", str(request.digest).encode()),
        (b"etag", f'"{request.digest}"'.encode()),
        (b"accept-ranges", b"bytes"),
        API_VERSION,
        *freshness_headers(state, confirmed_at=None, now=now, kept=kept),
    ]


async def _start(send: Send, status: int, headers: HeaderList) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _body(reader: BlobReader, span: Span, receive: Receive, send: Send, sent: Sent) -> None:
    """Send the bytes of a span. The server says nothing when the client has left, so somebody listens for that."""
    pump = asyncio.ensure_future(_pump(reader, span, send, sent))
    listener = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((pump, listener), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
    finally:
        for task in (pump, listener):
            task.cancel()
        await asyncio.gather(pump, listener, return_exceptions=True)


async def _pump(reader: BlobReader, span: Span, send: Send, sent: Sent) -> None:
    offset, end = span.start, span.end
    while end is None or offset < end:
        chunk = await reader.read(offset, CHUNK if end is None else min(CHUNK, end - offset))
        if not chunk:
            break
        offset += len(chunk)
        more = end is None or offset < end
        await send({"type": "http.response.body", "body": chunk, "more_body": more})
        sent.size += len(chunk)
        await asyncio.sleep(0)  # let the listener hear of a client that left, and the others have their turn
    if end is None or span.start == end:
        await send({"type": "http.response.body", "body": b""})
    sent.complete = True


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
