"""How a client is put together: TLS, pools for each destination, and what comes from outside."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final

import httpcore2
import httpx2

from proxy_core.errors import ConfigurationError
from proxy_core.settings.model import Upstream
from proxy_core.upstream.bearer import Grants
from proxy_core.upstream.client import UpstreamClient
from proxy_core.upstream.driver import AsyncDriver, Driver
from proxy_core.upstream.exchange import Exchange, Observer
from proxy_core.upstream.guard import Destination, Guard, Resolver, resolve
from proxy_core.upstream.listing import Bounds
from proxy_core.upstream.proxies import proxies_of
from proxy_core.upstream.reading import Pace, Reader
from proxy_core.upstream.sockets import AsyncGuardedBackend, GuardedBackend
from proxy_core.upstream.transport import AsyncTransport, Routes, Transport

_LIMITS: Final[Mapping[str, Any]] = {
    "max_connections": 64,
    "max_keepalive_connections": 8,
    "keepalive_expiry": 20.0,  # seconds; shorter than servers commonly keep them
}


@dataclass(frozen=True, slots=True)
class Outside:
    """All that a client takes from outside: the network, the time, the environment; and the bounds that it keeps."""

    backend: httpcore2.NetworkBackend = field(default_factory=httpcore2.SyncBackend)
    async_backend: httpcore2.AsyncNetworkBackend = field(default_factory=httpcore2.AnyIOBackend)
    resolver: Resolver = resolve
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    pace: Pace = field(default_factory=Pace)
    bounds: Bounds = field(default_factory=Bounds)


def open_upstream(settings: Upstream, observer: Observer, outside: Outside | None = None) -> UpstreamClient:
    """The client of one upstream. Takes some milliseconds and no network: make it when a worker starts.

    :raises ConfigurationError: the CA file, or a proxy's address in the environment, can not be used.
    """
    outside = outside or Outside()
    guard = Guard(settings.name, settings.private_redirects)
    proxies = proxies_of(outside.environment)
    tls = tls_context(settings.ca_file)

    def pool(destination: Destination, proxy: str | None) -> httpcore2.ConnectionPool:
        backend = GuardedBackend(guard, destination, outside.backend, outside.resolver, outside.clock)
        return httpcore2.ConnectionPool(tls, _proxy(proxy, tls), network_backend=backend, **_LIMITS)

    def async_pool(destination: Destination, proxy: str | None) -> httpcore2.AsyncConnectionPool:
        backend = AsyncGuardedBackend(guard, destination, outside.async_backend, outside.resolver)
        return httpcore2.AsyncConnectionPool(tls, _proxy(proxy, tls), network_backend=backend, **_LIMITS)

    patience = settings.timeouts.connect + settings.timeouts.read
    exchange = Exchange(settings, Grants(outside.clock), observer, outside.wall)
    reader = Reader(outside.pace, outside.clock)
    return UpstreamClient(
        settings,
        exchange,
        Driver(exchange, Transport(Routes(proxies, guard, pool)), reader),
        AsyncDriver(exchange, AsyncTransport(Routes(proxies, guard, async_pool), patience), reader),
        reader,
        outside.bounds,
    )


@cache
def tls_context(ca_file: Path | None) -> SSLContext:
    """TLS that always verifies: against the system's authorities, and against those in ``ca_file`` as well.

    Shared by the upstreams with the same file: reading the system's authorities takes some ten milliseconds.

    :raises ConfigurationError: the file can not be read, or holds no certificate.
    """
    context = httpcore2.default_ssl_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # an SSLError is one
            raise ConfigurationError(
                f"The ca_file {ca_file} can not be used: {error.strerror or error}.",
                "It must hold certificates in PEM format.",
            ) from error
    return context


def _proxy(url: str | None, tls: SSLContext) -> httpcore2.Proxy | None:
    if url is None:
        return None
    proxy = httpx2.Proxy(url)
    address = httpcore2.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return httpcore2.Proxy(address, auth=proxy.raw_auth, ssl_context=tls if proxy.url.scheme == "https" else None)
