"""Upstreams that can not be reached, or that hardly speak: what a reader is told, and within what time."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from proxy_core.errors import ConfigurationError
from proxy_core.reference import Tag
from proxy_core.upstream import FailureKind, Outside, UpstreamFailure
from proxy_core.upstream.failures import TooSlow
from proxy_core.upstream.opening import tls_context
from proxy_core.upstream.reading import Meter, Pace
from tests.rig.faults import Chunked, Delay, Dribble, Silence
from tests.rig.images import Blob, Image, noise
from tests.rig.upstream import Upstream, certificate
from tests.upstream.rooms import (
    ALPINE,
    HASTY,
    Names,
    Seen,
    asking,
    digest_of,
    fetch,
    filling,
    headers_of,
    outside,
    server,
)

LATEST = Tag("latest")
BLOB = noise(5000)

Way = Callable[..., UpstreamFailure]


def by_event_loop(url: str, seen: Seen | None = None, world: Outside | None = None, **more: object) -> UpstreamFailure:
    """How a manifest fails."""

    async def ask() -> UpstreamFailure:
        async with asking(url, seen, world=world, **more) as client:
            with pytest.raises(UpstreamFailure) as caught:
                await client.get_manifest(ALPINE, LATEST)
            return caught.value

    return asyncio.run(ask())


def by_thread(url: str, seen: Seen | None = None, world: Outside | None = None, **more: object) -> UpstreamFailure:
    """How a blob fails."""
    with filling(url, seen, world=world, **more) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(BLOB))
    return caught.value


both_ways = pytest.mark.parametrize("way", [by_event_loop, by_thread])


@both_ways
def test_it_refuses_connections(way: Way, seen: Seen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    failure = way(f"http://127.0.0.1:{port}", seen)
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "refused")
    assert "docker.io" in failure.cause
    assert "127.0.0.1" in failure.cause
    assert [outcome for _, outcome in seen.requests] == ["refused"]


@both_ways
def test_its_name_does_not_resolve(way: Way) -> None:
    failure = way("http://registry.example.com", world=outside(resolver=Names({})))
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "dns")
    assert "registry.example.com" in failure.cause


@both_ways
def test_its_name_resolves_to_nothing(way: Way) -> None:
    assert way("http://registry.example.com", world=outside(resolver=Names({"registry.example.com": []}))).reason == (
        "unreachable"
    )


def test_an_address_that_does_not_answer_gives_way_to_the_next(rig: Upstream, alpine: Image) -> None:
    names = Names({"registry.example.com": ["::1", "127.0.0.1"]})
    url = f"http://registry.example.com:{rig.port}"

    async def ask() -> None:
        async with asking(url, world=outside(resolver=names)) as client:
            await client.get_manifest(ALPINE, LATEST)

    asyncio.run(ask())
    rig.add(ALPINE, BLOB)
    with filling(url, world=outside(resolver=names)) as client:
        assert fetch(client, digest_of(BLOB)) == BLOB.data


# TLS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@both_ways
def test_a_certificate_of_nobody_we_know(way: Way, authority: trustme.CA) -> None:
    with Upstream(tls=certificate(authority)) as rig:
        failure = way(rig.url)
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "tls")
    assert "unable to get local issuer certificate" in failure.cause
    assert "ca_file" in failure.fix


@both_ways
def test_a_certificate_for_somebody_else(way: Way, authority: trustme.CA, ca_file: Path) -> None:
    with Upstream(tls=certificate(authority, "registry.example.org")) as rig:
        failure = way(rig.url, ca_file=ca_file)
    assert failure.reason == "tls"
    assert "127.0.0.1" in failure.cause


@both_ways
def test_no_tls_where_it_is_expected(way: Way) -> None:
    def converse(connection: socket.socket, stopping: threading.Event) -> None:
        connection.recv(64 * 1024)
        connection.sendall(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\nContent-Length: 0\r\n\r\n")
        connection.recv(64 * 1024)

    with server(converse) as port:
        failure = way(f"https://127.0.0.1:{port}")
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "tls")


async def test_a_ca_file_is_trusted_besides_the_systems(authority: trustme.CA, ca_file: Path, alpine: Image) -> None:
    with Upstream(tls=certificate(authority)) as rig:
        rig.add(ALPINE, alpine, "latest")
        async with asking(rig.url, ca_file=ca_file) as client:
            await client.get_manifest(ALPINE, LATEST)
    own = tls_context(ca_file)
    assert own.verify_mode is ssl.CERT_REQUIRED
    assert own.check_hostname
    assert own.cert_store_stats()["x509_ca"] == tls_context(None).cert_store_stats()["x509_ca"] + 1


def test_a_large_blob_comes_over_tls(authority: trustme.CA, ca_file: Path, large_blob: Blob) -> None:
    with Upstream(tls=certificate(authority)) as rig:
        rig.add(ALPINE, large_blob)
        with filling(rig.url, ca_file=ca_file) as client:
            assert fetch(client, digest_of(large_blob)) == large_blob.data


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_can_not_be_used_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        tls_context(file)
    assert str(file) in caught.value.cause


# Silence and slowness


@both_ways
def test_it_accepts_and_says_nothing(way: Way, rig: Upstream) -> None:
    rig.fault("*", Silence())
    began = time.monotonic()
    failure = way(rig.url, timeouts=HASTY)
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "timeout")
    assert time.monotonic() - began < 10


@both_ways
def test_its_headers_come_late(way: Way, rig: Upstream) -> None:
    rig.fault("*", Delay(30))
    assert way(rig.url, timeouts=HASTY).reason == "timeout"


@both_ways
@pytest.mark.parametrize("drip", [b"X-Drip: x\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_its_headers_never_end(way: Way, drip: bytes) -> None:
    def converse(connection: socket.socket, stopping: threading.Event) -> None:
        headers_of(connection)
        if drip.startswith(b"X"):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stopping.wait(0.05):
            connection.sendall(drip)

    began = time.monotonic()
    with server(converse) as port:
        failure = way(f"http://127.0.0.1:{port}", timeouts=HASTY)
    assert failure.reason == "timeout"
    assert time.monotonic() - began < 20


@both_ways
def test_its_body_dribbles(way: Way, rig: Upstream, alpine: Image) -> None:
    rig.add(ALPINE, BLOB)
    rig.fault("*", Dribble(10))
    began = time.monotonic()
    failure = way(rig.url, world=outside(pace=Pace(window=1.5, least=100)))
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "slow")
    assert time.monotonic() - began < 15


@both_ways
def test_it_speaks_no_http(way: Way) -> None:
    def converse(connection: socket.socket, stopping: threading.Event) -> None:
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        headers_of(connection)

    with server(converse) as port:
        failure = way(f"http://127.0.0.1:{port}")
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "broken")


@both_ways
def test_it_hangs_up(way: Way) -> None:
    with server(lambda connection, stopping: None) as port:
        failure = way(f"http://127.0.0.1:{port}")
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "broken")


async def test_a_failure_that_dribbles_its_body_keeps_nobody_waiting(rig: Upstream) -> None:
    rig.fault("*", Dribble(10))
    began = time.monotonic()
    async with asking(rig.url) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    assert caught.value.kind is FailureKind.NOT_FOUND
    assert time.monotonic() - began < 10


async def test_one_silent_answer_holds_up_no_other(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/stuck", Silence())
    async with asking(rig.url) as client:
        stuck = asyncio.create_task(client.get_manifest(ALPINE, Tag("stuck")))
        await client.get_manifest(ALPINE, LATEST)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        await client.get_manifest(ALPINE, LATEST)


async def test_no_more_connections_than_the_pool_has(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/*", Delay(0.05))
    async with asking(rig.url) as client:
        await asyncio.gather(*(client.head_manifest(ALPINE, LATEST) for _ in range(200)))
    assert len({request.connection for request in rig.requests}) <= 64


# The least rate


def test_the_rate_is_taken_over_a_window_of_waiting() -> None:
    meter = Meter(Pace(window=60, least=1024))
    for _ in range(600):
        meter.add(1024, 1.0)
    meter.add(60 * 1024, 0.0)  # bytes that were there already
    for _ in range(59):
        meter.add(0, 1.0)
    meter.add(0, 1.0)
    for _ in range(59):
        meter.add(1023, 1.0)
    with pytest.raises(TooSlow):
        meter.add(1023, 1.0)


def test_a_slow_disk_is_not_a_slow_upstream(rig: Upstream) -> None:
    now = [0.0]
    rig.add(ALPINE, BLOB)
    rig.fault("blobs/*", Chunked())
    with (
        filling(rig.url, world=outside(clock=lambda: now[0])) as client,
        client.open_blob(ALPINE, digest_of(BLOB)) as it,
    ):
        buffer = memoryview(bytearray(1))
        for _ in BLOB.data[:100]:
            assert it.readinto(buffer) == 1
            now[0] += 1000  # the writer takes its time
