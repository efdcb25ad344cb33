"""Section "Pull": the one category that every registry must offer.

Each question is asked twice: what the cache did not have the first time, it has the second time.
"""

from collections.abc import Iterator

import httpx2
import pytest

from tests.conformance.conftest import TAGS, Samples, blob, manifest
from tests.rig.images import MANIFEST_TYPES, Blob, digest_of
from tests.rig.proxy import Client

UNKNOWN = ("sha256:" + "0" * 64, "sha512:" + "0" * 128)
ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}


@pytest.fixture(params=range(4), ids=["oci image", "oci index", "docker image", "sha512 image"])
def sample(request: pytest.FixtureRequest, samples: Samples) -> Blob:
    number: int = request.param
    return samples.manifests[number]


@pytest.fixture(params=range(3), ids=["sha256", "sha512", "config"])
def part(request: pytest.FixtureRequest, samples: Samples) -> Blob:
    number: int = request.param
    return samples.blobs[number]


def twice(client: Client, method: str, path: str) -> Iterator[httpx2.Response]:
    for _ in ("cold", "warm"):
        yield client.request(method, path, headers=ACCEPT)


def test_the_base_is_there_once_logged_in(client: Client) -> None:
    """end-1: 200 for those who may, a challenge for those who have not said who they are."""
    assert client.get("/v2/").status_code == 200
    anonymous = client.http.get("/v2/")
    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer realm=")


class TestManifests:
    """end-3, "Pulling manifests" and "Checking if content exists in the registry"."""

    def test_head_by_digest(self, client: Client, sample: Blob) -> None:
        for answer in twice(client, "HEAD", manifest(sample.digest)):
            assert answer.status_code == 200
            assert answer.headers["Docker-Content-Digest"] == sample.digest
            assert answer.headers["Content-Length"] == str(sample.size)
            assert answer.headers["Content-Type"] == sample.media_type
            assert answer.content == b""

    def test_get_by_digest(self, client: Client, sample: Blob) -> None:
        for answer in twice(client, "GET", manifest(sample.digest)):
            assert answer.status_code == 200
            assert answer.content == sample.data
            assert answer.headers["Docker-Content-Digest"] == sample.digest
            assert answer.headers["Content-Length"] == str(sample.size)

    def test_the_media_type_is_the_pushed_one_without_parameters(self, client: Client, sample: Blob) -> None:
        for answer in twice(client, "GET", manifest(sample.digest)):
            assert answer.headers["Content-Type"] == sample.media_type

    @pytest.mark.parametrize("tag", TAGS)
    def test_get_by_tag(self, client: Client, samples: Samples, tag: str) -> None:
        for answer in twice(client, "GET", manifest(tag)):
            assert answer.status_code == 200
            assert answer.content == samples.index.manifest.data
            assert answer.headers["Docker-Content-Digest"] == samples.index.digest

    def test_head_by_tag(self, client: Client, samples: Samples) -> None:
        for answer in twice(client, "HEAD", manifest("latest")):
            assert answer.status_code == 200
            assert answer.headers["Docker-Content-Digest"] == samples.index.digest
            assert answer.headers["Content-Length"] == str(samples.index.manifest.size)

    def test_head_and_get_agree(self, client: Client, sample: Blob) -> None:
        head, get = client.head(manifest(sample.digest)), client.get(manifest(sample.digest))
        assert _lasting(head) == _lasting(get)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("reference", [*UNKNOWN, "no-such-tag"])
    def test_an_unknown_one_is_404(self, client: Client, method: str, reference: str) -> None:
        for answer in twice(client, method, manifest(reference)):
            assert answer.status_code == 404

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_an_unknown_repository_is_404(self, client: Client, method: str) -> None:
        for answer in twice(client, method, manifest("latest", "conformance/none")):
            assert answer.status_code == 404


class TestBlobs:
    """end-2, "Pulling blobs"."""

    def test_head(self, client: Client, part: Blob) -> None:
        for answer in twice(client, "HEAD", blob(part.digest)):
            assert answer.status_code == 200
            assert answer.headers["Docker-Content-Digest"] == part.digest
            assert answer.headers["Content-Length"] == str(part.size)
            assert answer.content == b""

    def test_get(self, client: Client, part: Blob) -> None:
        for answer in twice(client, "GET", blob(part.digest)):
            assert answer.status_code == 200
            assert answer.content == part.data
            assert answer.headers["Docker-Content-Digest"] == part.digest
            assert answer.headers["Content-Length"] == str(part.size)

    def test_head_and_get_agree(self, client: Client, part: Blob) -> None:
        assert _lasting(client.head(blob(part.digest))) == _lasting(client.get(blob(part.digest)))

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("digest", UNKNOWN)
    def test_an_unknown_one_is_404(self, client: Client, method: str, digest: str) -> None:
        for answer in twice(client, method, blob(digest)):
            assert answer.status_code == 404

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_one_of_an_unknown_repository_is_404(self, client: Client, method: str) -> None:
        for answer in twice(client, method, blob(digest_of(b"other"), "conformance/none")):
            assert answer.status_code == 404


def _lasting(answer: httpx2.Response) -> dict[str, str]:
    """The headers, but for those that tell of this one answer: when, how old, and by which way."""
    passing = {"date", "age", "cache-status", "connection", "server", "x-request-id"}
    return {name: value for name, value in answer.headers.items() if name.lower() not in passing}
