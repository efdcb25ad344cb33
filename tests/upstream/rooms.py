"""What the tests of this folder stand on: a client with its observer, false names, and servers of a few bytes."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore2

from proxy_core.reference import Digest, parse_digest
from proxy_core.settings.model import Timeouts, Upstream
from proxy_core.upstream import (
    Outside,
    QuotaReading,
    UpstreamClient,
    UpstreamFailure,
    open_upstream,
)
from tests.rig.images import Blob

HASTY = Timeouts(connect=2.0, read=1.0)
"""For upstreams that say nothing. Where one answers, the usual times hold, however slow the machine is."""
ALPINE = "library/alpine"


@dataclass
class Seen:
    """An observer that remembers."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    quotas: list[tuple[str, QuotaReading]] = field(default_factory=list)

    def request(self, upstream: str, kind: str, outcome: str) -> None:
        self.requests.append((kind, outcome))

    def quota(self, upstream: str, account: str, reading: QuotaReading) -> None:
        self.quotas.append((account, reading))


def settings(url: str, **more: Any) -> Upstream:
    """docker.io, at this address."""
    return Upstream(**{"name": "docker.io", "url": url, **more})


def outside(**more: Any) -> Outside:
    """No proxies from the environment of whoever runs the tests."""
    return Outside(**{"environment": {}, **more})


@asynccontextmanager
async def asking(
    url: str, seen: Seen | None = None, *, world: Outside | None = None, **more: Any
) -> AsyncGenerator[UpstreamClient]:
    """A client for a test in the event loop."""
    client = open_upstream(settings(url, **more), seen or Seen(), world or outside())
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def filling(
    url: str, seen: Seen | None = None, *, world: Outside | None = None, **more: Any
) -> Generator[UpstreamClient]:
    """A client for a test without one, as the thread of a fill sees it."""
    client = open_upstream(settings(url, **more), seen or Seen(), world or outside())
    try:
        yield client
    finally:
        asyncio.run(client.close())


async def until(happened: Callable[[], object]) -> None:
    """Wait for what another thread does; the test's own time limit bounds it."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - it happens in a thread of the rig
            await asyncio.sleep(0.01)


def digest_of(blob: Blob) -> Digest:
    return parse_digest(blob.digest)


def fetch(
    client: UpstreamClient, digest: Digest, *, offset: int = 0, piece: int = 256 * 1024, into: bytearray | None = None
) -> bytes:
    """All bytes of a blob of ALPINE. `into` holds what came even if the rest did not."""
    content = bytearray() if into is None else into
    buffer = memoryview(bytearray(piece))
    with client.open_blob(ALPINE, digest, offset) as stream:
        while count := stream.readinto(buffer):
            content += buffer[:count]
    return bytes(content)


def told(failure: UpstreamFailure) -> str:
    """All that a failure tells a reader."""
    return f"{failure} {failure!r} {failure.reason} {failure.headers}"


class Names:
    """A resolver with names of our own; an address stands for itself. Counts who was looked up."""

    def __init__(self, names: Mapping[str, str | list[str]]) -> None:
        self._names = names
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        known = self._names[host]
        return [known] if isinstance(known, str) else known


class Switchboard(httpcore2.NetworkBackend):
    """Connects any address to a port of this machine, so that public addresses can be had without a network."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self.dialled: list[str] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        self.dialled.append(host)
        return httpcore2.SyncBackend().connect_tcp("127.0.0.1", self._ports[host], timeout, None, socket_options)


class AsyncSwitchboard(httpcore2.AsyncNetworkBackend):
    """The same for the event loop."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self.dialled: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.dialled.append(host)
        backend = httpcore2.AnyIOBackend()
        return await backend.connect_tcp("127.0.0.1", self._ports[host], timeout, None, socket_options)


@contextmanager
def server(converse: Callable[[socket.socket, threading.Event], None]) -> Generator[int]:
    """A server of a few bytes: `converse` is called with each connection, in a thread. Gives its port."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            converse(connection, stopping)

    def accept() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=serve, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(35)
            assert not thread.is_alive()


def headers_of(connection: socket.socket) -> bytes:
    """The next request's line and headers."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise OSError("the client has left")
        received += piece
    return received
