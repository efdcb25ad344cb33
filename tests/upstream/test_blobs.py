"""Blobs as a fill reads them: large ones straight from the socket, small ones through httpcore2."""

import socket
import threading
import time

import pytest

from proxy_core.settings.model import Timeouts
from proxy_core.upstream import FailureKind, UpstreamFailure
from tests.rig.faults import (
    Chunked,
    CloseDelimited,
    CutAt,
    FalseRange,
    Fault,
    Gate,
    HugeHeaders,
    Lengthened,
    NoRange,
    Shortened,
    Status,
    WithHeaders,
)
from tests.rig.images import Blob, noise
from tests.rig.upstream import Upstream
from tests.upstream.rooms import ALPINE, HASTY, Seen, asking, digest_of, fetch, filling, headers_of, server


@pytest.fixture(params=["small", "large"])
def content(request: pytest.FixtureRequest, rig: Upstream, small_blob: Blob, large_blob: Blob) -> Blob:
    """A blob at the rig, of each kind."""
    blob = small_blob if request.param == "small" else large_blob
    rig.add(ALPINE, blob)
    return blob


def broken(rig: Upstream, blob: Blob, *faults: Fault) -> tuple[UpstreamFailure, bytes]:
    """How a blob fails with these faults, and what came before."""
    rig.fault("blobs/*", *faults)
    got = bytearray()
    with filling(rig.url, timeouts=HASTY) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(blob), into=got)
    return caught.value, bytes(got)


# Well


@pytest.mark.parametrize("piece", [7 * 1024, 1024 * 1024, 20_000_000])
def test_a_blob_comes_whole_with_one_get_and_no_head(rig: Upstream, content: Blob, piece: int, seen: Seen) -> None:
    with filling(rig.url, seen) as client:
        assert fetch(client, digest_of(content), piece=piece) == content.data
    assert [(request.method, request.header("Range")) for request in rig.requests] == [("GET", None)]
    assert rig.requests[0].header("Accept-Encoding") == "identity"
    assert seen.requests == [("blob", "2xx")]


@pytest.mark.parametrize("size", [0, 1, 65_536, 8 * 1024 * 1024 - 1, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1])
def test_sizes_around_the_edges(rig: Upstream, size: int) -> None:
    blob = noise(size)
    rig.add(ALPINE, blob)
    with filling(rig.url) as client:
        assert fetch(client, digest_of(blob)) == blob.data


@pytest.mark.parametrize("framing", [Chunked(), CloseDelimited()])
def test_without_a_content_length(rig: Upstream, content: Blob, framing: Fault) -> None:
    rig.fault("blobs/*", framing)
    with filling(rig.url) as client:
        with client.open_blob(ALPINE, digest_of(content)) as stream:
            assert (stream.start, stream.total) == (0, None)
        assert fetch(client, digest_of(content)) == content.data


def test_small_blobs_share_a_connection(rig: Upstream, small_blob: Blob) -> None:
    rig.add(ALPINE, small_blob)
    with filling(rig.url) as client:
        for _ in range(3):
            fetch(client, digest_of(small_blob))
    assert {request.connection for request in rig.requests} == {1}


@pytest.mark.parametrize("offset", [1, 100_000, -1])
def test_the_rest_of_a_blob(rig: Upstream, content: Blob, offset: int) -> None:
    offset %= content.size
    with filling(rig.url) as client:
        with client.open_blob(ALPINE, digest_of(content), offset) as stream:
            assert (stream.start, stream.total) == (offset, content.size)
        assert fetch(client, digest_of(content), offset=offset) == content.data[offset:]


def test_an_upstream_without_ranges_begins_anew(rig: Upstream, content: Blob) -> None:
    rig.fault("blobs/*", NoRange())
    with filling(rig.url) as client:
        with client.open_blob(ALPINE, digest_of(content), 1000) as stream:
            assert (stream.start, stream.total) == (0, content.size)
        assert fetch(client, digest_of(content), offset=1000) == content.data


def test_a_range_from_elsewhere_is_told_as_it_is(rig: Upstream, content: Blob) -> None:
    rig.fault("blobs/*", FalseRange(-5))
    with filling(rig.url) as client, client.open_blob(ALPINE, digest_of(content), 1000) as stream:
        assert stream.start == 995


def test_the_first_bytes_do_not_wait_for_the_others(rig: Upstream, content: Blob) -> None:
    gate = Gate(at=100_000)
    rig.fault("blobs/*", gate)
    with filling(rig.url) as client, client.open_blob(ALPINE, digest_of(content)) as stream:
        buffer, got = memoryview(bytearray(1024 * 1024)), 0
        while got < gate.at:
            got += stream.readinto(buffer)
        assert got == gate.at
        gate.open()
        while count := stream.readinto(buffer):
            got += count
        assert got == content.size


async def test_the_size_of_a_blob(rig: Upstream, content: Blob) -> None:
    async with asking(rig.url) as client:
        assert await client.head_blob(ALPINE, digest_of(content)) == content.size
        rig.fault("blobs/*", Chunked())
        assert await client.head_blob(ALPINE, digest_of(content)) is None
    assert rig.count("GET") == 0


# Badly


@pytest.mark.parametrize("at", [0, 1, 0.5, -1])
def test_a_body_that_ends_early_is_an_outage_after_its_last_byte(rig: Upstream, content: Blob, at: float) -> None:
    failure, got = broken(rig, content, CutAt(at))
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "short")
    ends = {0: 0, 1: 1, 0.5: content.size // 2, -1: content.size - 1}
    assert got == content.data[: ends[at]]


def test_a_body_that_is_reset_is_an_outage(rig: Upstream, content: Blob) -> None:
    failure, _ = broken(rig, content, CutAt(0.5, reset=True))
    assert failure.kind is FailureKind.OUTAGE
    assert failure.reason in {"broken", "short"}


def test_a_chunked_body_that_breaks_is_an_outage(rig: Upstream, content: Blob) -> None:
    failure, _ = broken(rig, content, Chunked(), CutAt(0.5))
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "short")


def test_a_body_that_stops_is_an_outage(rig: Upstream, content: Blob) -> None:
    gate = Gate(at=content.size // 2)
    failure, got = broken(rig, content, gate)
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "timeout")
    assert got == content.data[: gate.at]


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (Status(404), FailureKind.NOT_FOUND, "not_found"),
        (Status(403), FailureKind.ACCOUNT, "status_403"),
        (Status(429, retry_after="3"), FailureKind.LIMITED, "status_429"),
        (Status(503), FailureKind.OUTAGE, "status_503"),
        (Status(206), FailureKind.INVALID, "bad_range"),
        (Status(204), FailureKind.INVALID, "bad_range"),
        (HugeHeaders(), FailureKind.INVALID, "headers_too_large"),
    ],
)
def test_a_blob_that_is_not_given(rig: Upstream, content: Blob, fault: Fault, kind: FailureKind, reason: str) -> None:
    failure, got = broken(rig, content, fault)
    assert (failure.kind, failure.reason, got) == (kind, reason, b"")


@pytest.mark.parametrize("told", [None, "bytes 5-4/10", "bytes */10", "chunks 1-2/3", "bytes 1000-1999/*"])
def test_a_part_that_does_not_say_which(rig: Upstream, content: Blob, told: str | None) -> None:
    rig.fault("blobs/*", Status(206), WithHeaders({"Content-Range": told}))
    with filling(rig.url) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(content), offset=1000)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "bad_range")


def test_a_part_beyond_the_end(rig: Upstream, content: Blob) -> None:
    with filling(rig.url) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(content), offset=content.size)
    assert (caught.value.kind, caught.value.status) == (FailureKind.INVALID, 416)


def test_a_blob_that_is_announced_too_large(rig: Upstream, content: Blob) -> None:
    with filling(rig.url, max_blob=content.size - 1) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(content))
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "too_large")


def test_a_blob_that_turns_out_too_large(rig: Upstream, content: Blob) -> None:
    rig.fault("blobs/*", Chunked())
    got = bytearray()
    with filling(rig.url, max_blob=100_000) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(content), into=got)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "too_large")
    assert len(got) <= 100_000


@pytest.mark.parametrize("fault", [Lengthened(), Shortened()])
def test_what_the_upstream_itself_says_of_the_length_holds(rig: Upstream, content: Blob, fault: Fault) -> None:
    rig.fault("blobs/*", fault)
    with filling(rig.url) as client, client.open_blob(ALPINE, digest_of(content)) as stream:
        assert stream.total in {content.size - 1, content.size + 1}


def test_bytes_beyond_the_content_length_are_not_the_blobs() -> None:
    def converse(connection: socket.socket, stopping: threading.Event) -> None:
        while True:
            headers_of(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlayer and more")

    with server(converse) as port, filling(f"http://127.0.0.1:{port}") as client:
        for _ in range(3):  # what was left over from the one does not spoil the next
            assert fetch(client, digest_of(noise(5))) == b"layer"


def test_more_bytes_than_the_range_has() -> None:
    def converse(connection: socket.socket, stopping: threading.Event) -> None:
        headers_of(connection)
        connection.sendall(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 2-9/10\r\nConnection: close\r\n\r\n" + bytes(100))

    with (
        server(converse) as port,
        filling(f"http://127.0.0.1:{port}") as client,
        pytest.raises(UpstreamFailure) as caught,
    ):
        fetch(client, digest_of(noise(10)), offset=2)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "too_long")


def test_a_stream_can_be_broken_from_another_thread(rig: Upstream, content: Blob) -> None:
    gate = Gate(at=content.size // 2)
    rig.fault("blobs/*", gate)
    failures: list[UpstreamFailure] = []
    with (
        filling(rig.url, timeouts=Timeouts(connect=5, read=60)) as client,
        client.open_blob(ALPINE, digest_of(content)) as stream,
    ):

        def read() -> None:
            buffer = memoryview(bytearray(1024 * 1024))
            try:
                while stream.readinto(buffer):
                    pass
            except UpstreamFailure as failure:
                failures.append(failure)

        reader = threading.Thread(target=read)
        reader.start()
        gate.wait_reached()
        time.sleep(0.2)
        stream.abort()
        reader.join(20)
        assert not reader.is_alive()
        stream.abort()  # again does no harm
    assert [(failure.kind, failure.reason) for failure in failures] == [(FailureKind.OUTAGE, "aborted")]


def test_a_fill_that_gives_up_leaves_nothing_open(rig: Upstream, content: Blob, small_blob: Blob) -> None:
    with filling(rig.url) as client:
        with client.open_blob(ALPINE, digest_of(content)) as stream:
            stream.readinto(memoryview(bytearray(10)))
        rig.add(ALPINE, small_blob)
        assert fetch(client, digest_of(small_blob)) == small_blob.data
