"""Manifests as an upstream gives them, well and badly."""

import hashlib
import json
from email.utils import formatdate

import pytest

from proxy_core.reference import Digest, Tag, parse_digest
from proxy_core.upstream import FailureKind, ManifestHead, QuotaReading, UpstreamFailure
from tests.rig.faults import (
    Body,
    Chunked,
    CloseDelimited,
    CutAt,
    Drop,
    Fault,
    HugeHeaders,
    Lengthened,
    Shortened,
    Status,
    WithHeaders,
    WrongByte,
    large_manifest,
    not_json,
    schema_1,
)
from tests.rig.images import Image, Index, blob, image, index
from tests.rig.upstream import Upstream
from tests.upstream.rooms import ALPINE, Seen, asking, outside, told

LATEST = Tag("latest")


async def failing(rig: Upstream, *faults: Fault, seen: Seen | None = None) -> UpstreamFailure:
    """How a GET of library/alpine:latest fails with these faults."""
    rig.fault("manifests/*", *faults)
    async with asking(rig.url, seen) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    assert "docker.io" in caught.value.cause
    return caught.value


# Well


async def test_a_manifest_comes_byte_for_byte_with_its_type_and_digest(rig: Upstream, alpine: Image) -> None:
    async with asking(rig.url) as client:
        manifest = await client.get_manifest(ALPINE, LATEST)
        again = await client.get_manifest(ALPINE, manifest.digest)
    assert manifest.content == alpine.manifest.data
    assert (str(manifest.digest), manifest.media_type) == (alpine.digest, alpine.manifest.media_type)
    assert again == manifest


@pytest.mark.parametrize("kind", ["oci", "docker"])
async def test_indexes_and_images_of_both_families(rig: Upstream, kind: str) -> None:
    content = index(kind="docker" if kind == "docker" else "oci")
    rig.add(ALPINE, content, "latest")
    async with asking(rig.url) as client:
        manifest = await client.get_manifest(ALPINE, LATEST)
        child = await client.get_manifest(ALPINE, parse_digest(content.images[0].digest))
    assert manifest.media_type == content.manifest.media_type
    assert child.media_type == content.images[0].manifest.media_type


async def test_one_request_says_what_is_wanted_and_how(rig: Upstream, alpine: Image) -> None:
    async with asking(rig.url) as client:
        await client.get_manifest(ALPINE, LATEST)
    (request,) = rig.requests
    accepted = (request.header("Accept") or "").split(", ")
    assert alpine.manifest.media_type in accepted
    assert not any("v1+json" in each and "docker.distribution" in each for each in accepted)
    assert request.header("Accept-Encoding") == "identity"
    assert request.header("Authorization") is None


async def test_a_head_tells_digest_type_and_size_and_costs_no_get(rig: Upstream, alpine: Image) -> None:
    async with asking(rig.url) as client:
        head = await client.head_manifest(ALPINE, LATEST)
    assert head == ManifestHead(parse_digest(alpine.digest), alpine.manifest.media_type, alpine.manifest.size)
    assert rig.count("GET") == 0


async def test_answers_leave_the_connection_open_for_the_next_question(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/gone", Status(404))
    async with asking(rig.url) as client:
        await client.head_manifest(ALPINE, LATEST)
        with pytest.raises(UpstreamFailure):
            await client.get_manifest(ALPINE, Tag("gone"))
        await client.get_manifest(ALPINE, LATEST)
    assert {request.connection for request in rig.requests} == {1}


async def test_sha512_is_a_digest_too(rig: Upstream) -> None:
    content = image(algorithm="sha512")
    rig.add(ALPINE, content, "latest")
    async with asking(rig.url) as client:
        by_digest = await client.get_manifest(ALPINE, parse_digest(content.digest))
        by_tag = await client.get_manifest(ALPINE, LATEST)
    assert str(by_digest.digest) == content.digest
    assert by_tag.digest == Digest("sha256", hashlib.sha256(content.manifest.data).hexdigest())


@pytest.mark.parametrize("framing", [Chunked(), CloseDelimited()])
async def test_without_a_content_length(rig: Upstream, alpine: Image, framing: Fault) -> None:
    rig.fault("manifests/*", framing)
    async with asking(rig.url) as client:
        assert (await client.get_manifest(ALPINE, LATEST)).content == alpine.manifest.data
        assert (await client.head_manifest(ALPINE, LATEST)).size is None


async def test_without_a_digest_header_the_bytes_tell_it(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/*", WithHeaders({"Docker-Content-Digest": None}))
    async with asking(rig.url) as client:
        assert (await client.head_manifest(ALPINE, LATEST)).digest is None
        assert str((await client.get_manifest(ALPINE, LATEST)).digest) == alpine.digest


@pytest.mark.parametrize("told_type", ["application/json", "text/plain; charset=utf-8", None])
async def test_a_type_that_the_header_does_not_tell_stands_in_the_manifest(
    rig: Upstream, platforms: Index, told_type: str | None
) -> None:
    rig.fault("manifests/*", WithHeaders({"Content-Type": told_type}))
    async with asking(rig.url) as client:
        assert (await client.head_manifest(ALPINE, Tag("many"))).media_type == ""
        assert (await client.get_manifest(ALPINE, Tag("many"))).media_type == platforms.manifest.media_type


async def test_parameters_of_a_type_are_left_out(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/*", WithHeaders({"Content-Type": f"{alpine.manifest.media_type}; charset=utf-8"}))
    async with asking(rig.url) as client:
        assert (await client.get_manifest(ALPINE, LATEST)).media_type == alpine.manifest.media_type


async def test_an_idle_connection_that_the_server_gave_up_is_no_failure(
    rig: Upstream, alpine: Image, seen: Seen
) -> None:
    async with asking(rig.url, seen) as client:
        await client.get_manifest(ALPINE, LATEST)
        rig.fault("manifests/*", Drop(), times=1)
        await client.get_manifest(ALPINE, LATEST)
    assert seen.requests == [("manifest", "2xx"), ("manifest", "2xx")]


async def test_a_quota_is_told_to_the_observer(rig: Upstream, alpine: Image, seen: Seen) -> None:
    quota = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "7;w=21600", "Docker-RateLimit-Source": "1.2.3.4"}
    rig.fault("manifests/*", WithHeaders(quota))
    async with asking(rig.url, seen) as client:
        await client.head_manifest(ALPINE, LATEST)
    assert seen.quotas == [("anonymous", QuotaReading(100, 7, 21600, "1.2.3.4"))]


# Badly


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (404, FailureKind.NOT_FOUND, "not_found"),
        (401, FailureKind.ACCOUNT, "status_401"),
        (403, FailureKind.ACCOUNT, "status_403"),
        (429, FailureKind.LIMITED, "status_429"),
        (500, FailureKind.OUTAGE, "status_500"),
        (503, FailureKind.OUTAGE, "status_503"),
        (418, FailureKind.INVALID, "status_418"),
        (304, FailureKind.INVALID, "status_304"),
    ],
)
async def test_each_status_has_its_kind(
    rig: Upstream, alpine: Image, status: int, kind: FailureKind, reason: str
) -> None:
    failure = await failing(rig, Status(status))
    assert (failure.kind, failure.reason, failure.status) == (kind, reason, status)
    assert failure.retry_after is None
    assert "library/alpine" in failure.cause or status == 429
    assert failure.fix


async def test_a_limit_tells_when_to_come_back_and_passes_the_quota_on(
    rig: Upstream, alpine: Image, seen: Seen
) -> None:
    quota = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}
    failure = await failing(rig, Status(429, retry_after="17"), WithHeaders(quota), seen=seen)
    assert failure.kind is FailureKind.LIMITED
    assert failure.retry_after == 17
    assert failure.headers == quota
    assert seen.quotas == [("anonymous", QuotaReading(100, 0, 21600))]


async def test_retry_after_may_be_a_date(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/*", Status(503, retry_after=formatdate(1_000_090, usegmt=True)))
    async with asking(rig.url, world=outside(wall=lambda: 1_000_000.0)) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.head_manifest(ALPINE, LATEST)
    assert caught.value.retry_after == 90


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Body(schema_1()), "schema1"),
        (Body(blob(json.dumps({"schemaVersion": 1}).encode(), "application/json")), "schema1"),
        (Body(not_json()), "not_json"),
        (Body(blob(b"[]", "application/vnd.oci.image.manifest.v1+json")), "not_json"),
        (Body(blob(b"[" * 200_000, "application/vnd.oci.image.manifest.v1+json")), "not_json"),
        (Body(blob(b'{"schemaVersion": 2}', "application/json")), "media_type"),
        (Body(large_manifest()), "too_large"),
        (WithHeaders({"Docker-Content-Digest": "sha256:" + "0" * 64}), "digest_mismatch"),
        (WithHeaders({"Docker-Content-Digest": "sha512:" + "0" * 128}), "digest_mismatch"),
        (WithHeaders({"Content-Encoding": "gzip"}), "encoded"),
        (HugeHeaders(), "headers_too_large"),
    ],
)
async def test_an_answer_that_can_not_be_used(rig: Upstream, alpine: Image, fault: Fault, reason: str) -> None:
    failure = await failing(rig, fault)
    assert (failure.kind, failure.reason) == (FailureKind.INVALID, reason)


async def test_a_large_manifest_without_a_length_is_not_read_to_its_end(rig: Upstream, alpine: Image) -> None:
    failure = await failing(rig, Body(large_manifest(40 * 1024 * 1024)), Chunked())
    assert failure.reason == "too_large"
    assert rig.sent("manifests/*") < 30 * 1024 * 1024


@pytest.mark.parametrize("fault", [WrongByte(-3), Lengthened(), Shortened()])
async def test_bytes_that_are_not_those_asked_for_are_never_given(rig: Upstream, alpine: Image, fault: Fault) -> None:
    rig.fault("manifests/*", fault, WithHeaders({"Docker-Content-Digest": None}))
    async with asking(rig.url) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, parse_digest(alpine.digest))
    assert caught.value.kind is FailureKind.INVALID


async def test_another_manifest_than_the_digest_asked_for(rig: Upstream, alpine: Image, platforms: Index) -> None:
    rig.fault("manifests/*", Body(platforms.manifest))
    async with asking(rig.url) as client:
        for ask in (client.get_manifest, client.head_manifest):
            with pytest.raises(UpstreamFailure) as caught:
                await ask(ALPINE, parse_digest(alpine.digest))
            assert caught.value.reason == "digest_mismatch"


@pytest.mark.parametrize("fault", [CutAt(0), CutAt(1), CutAt(0.5), CutAt(-1), CutAt(10, reset=True), Drop()])
async def test_a_broken_body_is_an_outage(rig: Upstream, alpine: Image, fault: Fault) -> None:
    failure = await failing(rig, fault)
    assert (failure.kind, failure.reason) == (FailureKind.OUTAGE, "broken")


async def test_a_head_of_schema_1_is_refused(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/*", Body(schema_1()))
    async with asking(rig.url) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.head_manifest(ALPINE, LATEST)
    assert caught.value.reason == "schema1"


async def test_a_failure_holds_no_password(rig: Upstream, alpine: Image) -> None:
    rig.fault("manifests/*", Status(403))
    async with asking(rig.url, username="robot", password="open-sesame") as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    assert "robot" in caught.value.cause
    assert "open-sesame" not in told(caught.value)
