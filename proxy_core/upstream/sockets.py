"""Connections as httpcore2 wants them: made to addresses that were checked, and read without detours."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpcore2

from proxy_core.upstream.guard import Destination, Guard, Resolver

#: Addresses of one name that are tried at most.
MAX_ADDRESSES: Final = 4

Options = Iterable[httpcore2.SOCKET_OPTION] | None
Clock = Callable[[], float]


class Stream(httpcore2.NetworkStream):
    """A connection that knows until when an answer must have begun, and that reads straight into a buffer.

    httpcore2's time limit is one for each read: a server that sends its headers byte by byte would never meet it.
    From the last write on, all reads together have one limit, until :meth:`answered`.
    """

    def __init__(self, inner: httpcore2.NetworkStream, clock: Clock = time.monotonic, *, tls: bool = False) -> None:
        self._inner = inner
        self._clock = clock
        self._tls = tls
        self._due: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._due is not None:
            left = self._due - self._clock()
            if left <= 0:
                raise httpcore2.ReadTimeout("no answer in time")
            timeout = left if timeout is None else min(timeout, left)
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)
        self.expect(timeout)

    def expect(self, within: float | None) -> None:
        """Give all reads to come ``within`` seconds together; ``None``: lift that limit."""
        self._due = None if within is None else self._clock() + within

    def answered(self) -> None:
        """The headers are there: from here each read has its own limit again."""
        self.expect(None)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._inner.start_tls(ssl_context, server_hostname, timeout)
        # TLS within TLS (a proxy by https) is no socket any more; it stays with httpcore2's own stream.
        return secured if self._tls else Stream(secured, self._clock, tls=True)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def readinto(self, buffer: memoryview, timeout: float) -> int:
        """Wait for bytes at most ``timeout`` seconds, then take all that are there; 0 at the end.

        Each read of a TLS socket gives one record, 16 KiB at most. Taking what has come already makes whole batches
        of them, without ever waiting for more.

        :raises OSError: the connection broke; ``TimeoutError``: nothing came.
        """
        connection: socket.socket = self._inner.get_extra_info("socket")
        connection.settimeout(timeout)
        count = connection.recv_into(buffer)
        connection.settimeout(0)
        while 0 < count < len(buffer):
            try:
                more = connection.recv_into(buffer[count:])
            except OSError:
                break  # nothing there yet; and if it is worse, the next call meets it again
            if more == 0:
                break
            count += more
        return count

    def abort(self) -> None:
        """End the connection under a read in another thread, which returns at once."""
        connection: socket.socket = self._inner.get_extra_info("socket")
        try:
            # Not SSLSocket's own: it would let a waiting read go on without decrypting.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError:
            pass  # closed already


class GuardedBackend(httpcore2.NetworkBackend):
    """Resolves, lets the guard choose, and connects to an address that it admitted: no second look-up in between."""

    def __init__(
        self, guard: Guard, destination: Destination, inner: httpcore2.NetworkBackend, resolver: Resolver, clock: Clock
    ) -> None:
        self._guard = guard
        self._destination = destination
        self._inner = inner
        self._resolver = resolver
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._guard.admit(self._destination, host, _resolved(self._resolver, host, port))[:MAX_ADDRESSES]
        share = None if timeout is None else timeout / max(1, len(addresses))
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
            else:
                return Stream(stream, self._clock)
        raise failed

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class AsyncGuardedBackend(httpcore2.AsyncNetworkBackend):
    """The same for the event loop. Names are resolved in a thread."""

    def __init__(
        self, guard: Guard, destination: Destination, inner: httpcore2.AsyncNetworkBackend, resolver: Resolver
    ) -> None:
        self._guard = guard
        self._destination = destination
        self._inner = inner
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore2.AsyncNetworkStream:
        resolved = await asyncio.to_thread(_resolved, self._resolver, host, port)
        addresses = self._guard.admit(self._destination, host, resolved)[:MAX_ADDRESSES]
        share = None if timeout is None else timeout / max(1, len(addresses))
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def _resolved(resolver: Resolver, host: str, port: int) -> list[str]:
    """The addresses of a host, which may be one itself.

    :raises httpcore2.ConnectError: it has none.
    """
    try:
        return list(resolver(host, port))
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(error) from error
