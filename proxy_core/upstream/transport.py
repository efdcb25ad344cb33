"""httpx2's transports over httpcore2's pools: one for threads, one for the event loop.

They exist because httpx2's own take no network backend. Errors stay httpcore2's: only this package meets them.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final, Generic, TypeVar, cast

import httpcore2
import httpx2

from proxy_core.upstream.guard import Destination, Guard
from proxy_core.upstream.proxies import Proxies
from proxy_core.upstream.sockets import Stream

Pool = TypeVar("Pool")

# How often a request is sent anew because a kept connection turned out to be closed (RFC 9110, section 9.2.2: GET and
# HEAD may be repeated). Only that; a connection made for the request is never tried twice.
_TRIES: Final = 3
_CLOSED: Final = (httpcore2.RemoteProtocolError, httpcore2.ReadError, httpcore2.WriteError)


class Routes(Generic[Pool]):
    """The pool for a request: by what it is for, or the one of the HTTP proxy that leads to its address."""

    def __init__(self, proxies: Proxies, guard: Guard, make: Callable[[Destination, str | None], Pool]) -> None:
        self._proxies = proxies
        self._guard = guard
        direct = (Destination.UPSTREAM, Destination.REALM, Destination.REDIRECT)
        self._direct = {destination: make(destination, None) for destination in direct}
        self._proxied = {url: make(Destination.PROXY, url) for url in proxies.urls}

    def of(self, request: httpx2.Request) -> Pool:
        """:raises UpstreamFailure: ``INVALID``: the request may not go there."""
        destination: Destination = request.extensions["destination"]
        proxy = self._proxies.of(request.url)
        if proxy is None:
            return self._direct[destination]
        self._guard.admit_unresolved(destination, request.url.host)
        return self._proxied[proxy]

    def all(self) -> list[Pool]:
        return [*self._direct.values(), *self._proxied.values()]


class Transport(httpx2.BaseTransport):
    """For threads."""

    def __init__(self, routes: Routes[httpcore2.ConnectionPool]) -> None:
        self._routes = routes

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and wait for the headers of its answer.

        :raises UpstreamFailure: the guard refused the address.
        :raises: one of :data:`~proxy_core.upstream.failures.FAULTS`.
        """
        pool = self._routes.of(request)
        answer = self._sent(pool, request)
        stream = answer.extensions["network_stream"]
        if isinstance(stream, Stream):
            stream.answered()
        body = cast(Iterable[bytes], answer.stream)
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(body), extensions=answer.extensions, request=request
        )

    def _sent(self, pool: httpcore2.ConnectionPool, request: httpx2.Request) -> httpcore2.Response:
        for left in reversed(range(_TRIES)):
            opening = _Opening()
            try:
                return pool.handle_request(_core_request(request, opening.note))
            except _CLOSED:
                if opening.seen or not left:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        for pool in self._routes.all():
            pool.close()


class AsyncTransport(httpx2.AsyncBaseTransport):
    """For the event loop. ``patience``: seconds in which the headers of an answer must be there, all in all."""

    def __init__(self, routes: Routes[httpcore2.AsyncConnectionPool], patience: float) -> None:
        self._routes = routes
        self._patience = patience

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As :meth:`Transport.handle_request`."""
        pool = self._routes.of(request)
        async with asyncio.timeout(self._patience):
            answer = await self._sent(pool, request)
        body = cast(AsyncIterable[bytes], answer.stream)
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_AsyncBody(body),
            extensions=answer.extensions,
            request=request,
        )

    async def _sent(self, pool: httpcore2.AsyncConnectionPool, request: httpx2.Request) -> httpcore2.Response:
        for left in reversed(range(_TRIES)):
            opening = _Opening()
            try:
                return await pool.handle_async_request(_core_request(request, opening.anote))
            except _CLOSED:
                if opening.seen or not left:
                    raise
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            for pool in self._routes.all():
                stack.push_async_callback(pool.aclose)


class _Opening:
    """Sees whether a request opened a connection: then its early end is no idle connection's, but a fault."""

    def __init__(self) -> None:
        self.seen = False

    def note(self, event: str, info: Any) -> None:
        self.seen = self.seen or event == "connection.connect_tcp.started"

    async def anote(self, event: str, info: Any) -> None:
        self.note(event, info)


def _core_request(request: httpx2.Request, trace: Callable[[str, Any], Any]) -> httpcore2.Request:
    url = request.url
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions={"timeout": request.extensions["timeout"], "trace": trace},
    )


class _Body(httpx2.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        cast(Any, self._stream).close()


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        await cast(Any, self._stream).aclose()
