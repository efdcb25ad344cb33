"""Bodies read within bounds: of size, and of time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx2

from proxy_core.upstream.failures import FAULTS, Encoded, TooLarge, TooSlow
from proxy_core.upstream.headers import content_length
from proxy_core.upstream.sockets import Stream

_DISCARDED: Final = 16 * 1024  # bytes that are read away to keep a connection; beyond, a new one is cheaper
_DISCARD_TIME: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """The least rate of a body: ``least`` bytes a second, taken over ``window`` seconds of waiting for it."""

    window: float = 60.0
    least: int = 1024


class Meter:
    """Holds a body to a pace. Only the time spent waiting for it counts, not what its reader does in between."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._waited = 0.0
        self._count = 0

    def add(self, count: int, waited: float) -> None:
        """Note bytes and the seconds that they took.

        :raises TooSlow: a window is over and too little came in it.
        """
        self._count += count
        self._waited += waited
        if self._waited >= self._pace.window:
            if self._count < self._pace.least * self._waited:
                raise TooSlow
            self._waited, self._count = 0.0, 0


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads whole bodies into memory."""

    pace: Pace
    clock: Callable[[], float]

    def read(self, response: httpx2.Response, limit: int) -> bytes:
        """The whole body.

        :raises TooLarge: it has more than ``limit`` bytes; no more than a read beyond them was ever held.
        :raises TooSlow: it comes below the pace.
        :raises Encoded: it is compressed.
        """
        body = _Body(response, limit, Meter(self.pace), self.clock)
        for chunk in response.iter_raw():
            body.add(chunk)
        return bytes(body.content)

    async def aread(self, response: httpx2.Response, limit: int) -> bytes:
        """The same in the event loop."""
        body = _Body(response, limit, Meter(self.pace), self.clock)
        async for chunk in response.aiter_raw():
            body.add(chunk)
        return bytes(body.content)


class _Body:
    def __init__(self, response: httpx2.Response, limit: int, meter: Meter, clock: Callable[[], float]) -> None:
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
            raise Encoded
        if (content_length(response.headers) or 0) > limit:
            raise TooLarge
        self.content = bytearray()
        self._limit = limit
        self._meter = meter
        self._clock = clock
        self._at = clock()

    def add(self, chunk: bytes) -> None:
        now = self._clock()
        self._meter.add(len(chunk), now - self._at)
        self._at = now
        if len(self.content) + len(chunk) > self._limit:
            raise TooLarge
        self.content += chunk


def discard(response: httpx2.Response) -> None:
    """Close an answer that nobody reads; a short body is read away first, so that the connection can be used again."""
    stream = response.extensions.get("network_stream")
    try:
        if _is_short(response) and isinstance(stream, Stream):
            stream.expect(_DISCARD_TIME)
            for _ in response.iter_raw():
                pass
            stream.answered()
    except FAULTS:
        pass  # nobody wants that body; closing is all that is left to do
    finally:
        response.close()


async def adiscard(response: httpx2.Response) -> None:
    """The same in the event loop."""
    try:
        if _is_short(response):
            async with asyncio.timeout(_DISCARD_TIME):
                async for _ in response.aiter_raw():
                    pass
    except FAULTS:
        pass
    finally:
        await response.aclose()


def _is_short(response: httpx2.Response) -> bool:
    if response.is_stream_consumed or response.is_closed:
        return False
    if response.request.method == "HEAD":
        return True
    length = response.headers.get("Content-Length", "")
    return length.isdecimal() and int(length[:9]) <= _DISCARDED
