"""Redirects: to a content network, in circles, and to places where they must not lead."""

import traceback
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import trustme

from proxy_core.reference import Tag
from proxy_core.upstream import FailureKind, UpstreamFailure
from tests.rig.challenges import Bearer
from tests.rig.faults import Redirect, RedirectLoop, Status, WithHeaders
from tests.rig.images import Blob, image
from tests.rig.upstream import Upstream, certificate
from tests.upstream.rooms import (
    ALPINE,
    AsyncSwitchboard,
    Names,
    Seen,
    Switchboard,
    asking,
    digest_of,
    fetch,
    filling,
    outside,
    told,
)

LOOPBACK: dict[str, Any] = {"private_redirects": (ip_network("127.0.0.0/8"),)}
PUBLIC = "93.184.216.34"
OTHER = "151.101.1.69"


@pytest.fixture
def cdn(small_blob: Blob, large_blob: Blob) -> Iterator[Upstream]:
    """Another server that has the same blobs, and asks for nothing."""
    with Upstream() as upstream:
        upstream.add(ALPINE, small_blob)
        upstream.add(ALPINE, large_blob)
        yield upstream


@pytest.fixture
def registry() -> Iterator[Upstream]:
    """A registry that asks for tokens."""
    with Upstream(challenge=Bearer()) as upstream:
        upstream.add(ALPINE, image(), "latest")
        yield upstream


def refused(url: str, blob: Blob, **more: Any) -> UpstreamFailure:
    with filling(url, **more) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(blob))
    assert caught.value.kind is FailureKind.INVALID
    return caught.value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_content_network_gets_the_range_but_no_authorization(
    registry: Upstream, cdn: Upstream, large_blob: Blob, status: int, seen: Seen
) -> None:
    registry.fault("blobs/*", Redirect(cdn.url, status), WithHeaders({"Set-Cookie": "session=1"}))
    with filling(registry.url, seen, **LOOPBACK) as client:
        rest = fetch(client, digest_of(large_blob), offset=1000)
    assert rest == large_blob.data[1000:]
    (asked,) = cdn.requests
    assert asked.header("Range") == "bytes=1000-"
    assert asked.header("Authorization") is None
    assert asked.header("Cookie") is None
    assert asked.header("Host") == f"127.0.0.1:{cdn.port}"
    assert seen.requests == [("blob", "4xx"), ("token", "2xx"), ("blob", "3xx"), ("blob", "2xx")]


def test_a_redirect_within_the_registry_keeps_the_token(registry: Upstream, small_blob: Blob) -> None:
    registry.add(ALPINE, small_blob)
    registry.fault("blobs/*", Redirect(registry.url), times=1)
    with filling(registry.url) as client:
        assert fetch(client, digest_of(small_blob)) == small_blob.data
    assert [bool(request.header("Authorization")) for request in registry.asked("GET", "blobs/*")] == [
        False,
        True,
        True,
    ]


def test_what_left_the_registry_once_comes_back_without_the_token(
    registry: Upstream, cdn: Upstream, small_blob: Blob
) -> None:
    registry.add(ALPINE, small_blob)
    registry.fault("blobs/*", Redirect(cdn.url))
    cdn.fault("blobs/*", Redirect(f"{registry.url}/v2/{ALPINE}/manifests/latest", keep_path=False))
    with filling(registry.url, **LOOPBACK) as client, pytest.raises(UpstreamFailure):
        fetch(client, digest_of(small_blob))
    assert not any(request.header("Authorization") for request in registry.asked("GET", "manifests/*"))


async def test_heads_and_manifests_are_redirected_too(rig: Upstream, cdn: Upstream, small_blob: Blob) -> None:
    content = image()
    cdn.add(ALPINE, content, "latest")
    rig.fault("*", Redirect(cdn.url))
    async with asking(rig.url, **LOOPBACK) as client:
        assert (await client.get_manifest(ALPINE, Tag("latest"))).content == content.manifest.data
        assert await client.head_blob(ALPINE, digest_of(small_blob)) == small_blob.size
    assert [request.method for request in cdn.requests] == ["GET", "HEAD"]


@pytest.mark.parametrize("hops", [5, 6])
def test_five_redirects_are_followed_and_no_more(rig: Upstream, small_blob: Blob, hops: int) -> None:
    rig.add(ALPINE, small_blob)
    rig.fault("blobs/*", Redirect(rig.url), times=hops)
    if hops == 6:
        assert refused(rig.url, small_blob).reason == "redirect_loop"
        return
    with filling(rig.url) as client:
        assert fetch(client, digest_of(small_blob)) == small_blob.data


def test_a_circle(rig: Upstream, small_blob: Blob) -> None:
    rig.fault("*", RedirectLoop())
    assert refused(rig.url, small_blob).reason == "redirect_loop"
    assert rig.count() == 6


@pytest.mark.parametrize("target", ["", "ftp://example.com/", "http://", "https://%xn--1/", "//[::1"])
def test_a_redirect_to_nowhere(rig: Upstream, small_blob: Blob, target: str) -> None:
    rig.fault("*", Redirect(target, keep_path=False))
    assert refused(rig.url, small_blob).reason in {"bad_redirect", "redirect_loop"}


def test_from_https_to_http(cdn: Upstream, small_blob: Blob) -> None:
    authority = trustme.CA()
    with authority.cert_pem.tempfile() as ca_file, Upstream(tls=certificate(authority)) as rig:
        rig.fault("*", Redirect(cdn.url))
        failure = refused(rig.url, small_blob, ca_file=ca_file, **LOOPBACK)
    assert failure.reason == "open_redirect"
    assert cdn.count() == 0


# Where redirects must not lead


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "10.0.0.1",
        "127.0.0.1:1",
        "localhost:1",
        "0.0.0.0:1",
        "[::1]:1",
        "[::ffff:10.0.0.1]",
        "[fe80::1]",
    ],
)
def test_to_a_private_address(rig: Upstream, small_blob: Blob, host: str) -> None:
    rig.fault("*", Redirect(f"http://{host}"))
    failure = refused(rig.url, small_blob)
    assert failure.reason == "private_redirect"
    assert "signature" not in told(failure)


async def test_to_a_private_address_from_the_event_loop(rig: Upstream) -> None:
    rig.fault("*", Redirect("http://169.254.169.254"))
    async with asking(rig.url) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, Tag("latest"))
    assert caught.value.reason == "private_redirect"
    assert "metadata" in caught.value.cause


def test_to_a_clouds_metadata_even_if_its_network_is_allowed(rig: Upstream, small_blob: Blob) -> None:
    rig.fault("*", Redirect("http://169.254.169.254"))
    networks = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert refused(rig.url, small_blob, private_redirects=networks).reason == "private_redirect"


def test_to_a_name_with_a_private_address(rig: Upstream, cdn: Upstream, small_blob: Blob) -> None:
    rig.fault("*", Redirect(f"http://cdn.example.com:{cdn.port}"))
    names = Names({"127.0.0.1": "127.0.0.1", "cdn.example.com": "127.0.0.1"})
    failure = refused(rig.url, small_blob, world=outside(resolver=names))
    assert failure.reason == "private_redirect"
    assert "cdn.example.com (127.0.0.1)" in failure.cause
    assert "private_redirects" in failure.fix
    assert cdn.count() == 0


def test_the_address_that_was_checked_is_the_one_that_is_asked(rig: Upstream, cdn: Upstream, small_blob: Blob) -> None:
    """A name that resolves anew to something else (DNS rebinding) changes nothing: there is no second look-up."""
    rig.fault("*", Redirect("http://cdn.example.com"))
    names = Names({"127.0.0.1": "127.0.0.1", "cdn.example.com": PUBLIC})
    backend = Switchboard({"127.0.0.1": rig.port, PUBLIC: cdn.port})
    with filling(rig.url, world=outside(resolver=names, backend=backend)) as client:
        assert fetch(client, digest_of(small_blob)) == small_blob.data
    assert names.asked == ["127.0.0.1", "cdn.example.com"]
    assert backend.dialled == ["127.0.0.1", PUBLIC]


async def test_of_several_addresses_only_the_public_ones_are_asked(
    rig: Upstream, cdn: Upstream, small_blob: Blob
) -> None:
    rig.fault("*", Redirect("http://cdn.example.com"))
    names = Names({"127.0.0.1": "127.0.0.1", "cdn.example.com": ["10.0.0.1", OTHER, "::ffff:127.0.0.1"]})
    backend = AsyncSwitchboard({"127.0.0.1": rig.port, OTHER: cdn.port})
    async with asking(rig.url, world=outside(resolver=names, async_backend=backend)) as client:
        assert await client.head_blob(ALPINE, digest_of(small_blob)) == small_blob.size
    assert backend.dialled == ["127.0.0.1", OTHER]


@pytest.mark.parametrize("status", [401, 403])
def test_a_signed_address_that_expired_is_not_the_accounts_trouble(
    rig: Upstream, cdn: Upstream, small_blob: Blob, status: int
) -> None:
    rig.fault("*", Redirect(cdn.url))
    cdn.fault("*", Status(status))
    with filling(rig.url, **LOOPBACK) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(small_blob))
    assert (caught.value.kind, caught.value.reason) == (FailureKind.OUTAGE, f"redirect_status_{status}")
    text = told(caught.value) + "".join(traceback.format_exception(caught.value))
    assert "signature" not in text
