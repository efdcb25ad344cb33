"""Answers with a manifest: byte for byte, by whatever name and for whatever client."""

import json

import pytest

from proxy_core.reference import Reference
from proxy_core.registry.manifests import answer_manifest, matches
from proxy_core.registry.replies import Reply
from proxy_core.registry.request import Headers, ManifestRequest, Place
from tests.cache.conftest import Place as Cache
from tests.cache.conftest import Worker
from tests.cache.upstream import ALPINE, INDEX_TYPE, LATEST, MANIFEST_TYPE, fetched, index, manifest
from tests.rig.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

AMD, ARM = manifest(note="amd64"), manifest(note="arm64")
TOP = index(AMD, ARM)


async def answer(worker: Worker, reference: Reference = LATEST, *accept: str, condition: str | None = None) -> Reply:
    headers = Headers(
        accept=tuple(value.encode() for value in accept),
        if_none_match=condition.encode() if condition is not None else None,
    )
    request = ManifestRequest(Place(ALPINE, "x"), reference)
    return (await answer_manifest(request, headers, worker.manifests, 0.0)).reply


def header(reply: Reply, name: str) -> str | None:
    values = [value.decode() for key, value in reply.headers if key.decode() == name]
    assert len(values) <= 1
    return values[0] if values else None


async def test_a_manifest_comes_with_its_type_and_digest(place: Cache, worker: Worker) -> None:
    place.upstream.push(ALPINE, AMD)
    for reference in (LATEST, AMD.digest):
        reply = await answer(worker, reference, "*/*")
        assert (reply.status, reply.body) == (200, AMD.content)
        assert header(reply, "content-type") == MANIFEST_TYPE
        assert header(reply, "docker-content-digest") == str(AMD.digest)
        assert header(reply, "etag") == f'"{AMD.digest}"'
        assert header(reply, "docker-distribution-api-version") == "registry/2.0"


class TestPlatforms:
    @pytest.fixture(autouse=True)
    def pushed(self, place: Cache) -> None:
        for one in (AMD, ARM, TOP):
            place.upstream.push(ALPINE, one, "latest")

    @pytest.mark.parametrize(
        "accept", [[OCI_INDEX, OCI_MANIFEST], [f"{OCI_MANIFEST},{OCI_INDEX}"], ["*/*"], [], ["application/json"]]
    )
    async def test_an_index_is_given_whole(self, worker: Worker, accept: list[str]) -> None:
        reply = await answer(worker, LATEST, *accept)
        assert reply.body == TOP.content
        assert header(reply, "content-type") == INDEX_TYPE

    async def test_a_client_from_before_there_were_indexes_gets_linux_amd64(self, place: Cache, worker: Worker) -> None:
        reply = await answer(worker, LATEST, DOCKER_MANIFEST)
        assert reply.body == AMD.content
        assert header(reply, "docker-content-digest") == str(AMD.digest)
        assert header(reply, "content-type") == MANIFEST_TYPE
        assert place.upstream.count("GET") == 2

    async def test_by_digest_it_is_given_what_it_asked_for(self, worker: Worker) -> None:
        assert (await answer(worker, TOP.digest, DOCKER_MANIFEST)).body == TOP.content

    @pytest.mark.parametrize(
        "children",
        [
            [],
            None,
            "x",
            {},
            [None, 5, "x"],
            [{"platform": None}],
            [{"platform": "linux/amd64"}],
            [{"platform": {"os": "linux", "architecture": "amd64"}}],
            [{"platform": {"os": "linux", "architecture": "amd64"}, "digest": "sha256:short"}],
            [{"platform": {"os": "linux", "architecture": "arm64"}, "digest": str(ARM.digest)}],
        ],
    )
    async def test_an_index_without_it_is_given_as_it_is(self, place: Cache, worker: Worker, children: object) -> None:
        odd = fetched(json.dumps({"schemaVersion": 2, "manifests": children}).encode(), INDEX_TYPE)
        place.upstream.push(ALPINE, odd)
        assert (await answer(worker, LATEST, OCI_MANIFEST)).body == odd.content


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "modified"),
        [
            (f'"{AMD.digest}"', False),
            (f'W/"{AMD.digest}"', False),
            (f'"x", "{AMD.digest}"', False),
            ("*", False),
            (f'"{ARM.digest}"', True),
            (str(AMD.digest), True),
            ("", True),
        ],
    )
    async def test_what_the_client_has_is_not_sent_again(
        self, place: Cache, worker: Worker, condition: str, modified: bool
    ) -> None:
        place.upstream.push(ALPINE, AMD)
        reply = await answer(worker, LATEST, condition=condition)
        assert reply.status == (200 if modified else 304)
        assert reply.body == (AMD.content if modified else b"")
        assert header(reply, "etag") == f'"{AMD.digest}"'

    async def test_a_tag_that_has_moved_is_sent(self, place: Cache, worker: Worker) -> None:
        place.upstream.push(ALPINE, AMD)
        await answer(worker)
        place.upstream.push(ALPINE, ARM)
        assert (await answer(worker, LATEST, condition=f'"{AMD.digest}"')).body == ARM.content

    def test_weak_tags_count_here(self) -> None:
        assert matches(b'W/"a"', '"a"')
        assert not matches(b'"ab"', '"a"')
