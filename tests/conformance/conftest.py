"""One upstream with all that the assertions name, and one proxy before it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.rig.images import Blob, Image, Index, artifact, image, index, noise
from tests.rig.proxy import Client, Proxy, path_of
from tests.rig.upstream import Upstream

REPOSITORY = "conformance/repo"
TAGS = ("1.0", "1.1", "2.0", "Latest", "edge", "latest")
"""In the order of their bytes, which is the order a list must have."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What the upstream holds."""

    image: Image
    index: Index
    docker: Image
    long: Image  # digests of sha512
    blob: Blob
    blob_512: Blob
    signature: Image
    bill: Image

    @property
    def manifests(self) -> tuple[Blob, ...]:
        return (self.image.manifest, self.index.manifest, self.docker.manifest, self.long.manifest)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.blob, self.blob_512, self.image.config)


@pytest.fixture(scope="session")
def samples() -> Samples:
    subject = image()
    return Samples(
        image=subject,
        index=index(),
        docker=image(kind="docker"),
        long=image(algorithm="sha512"),
        blob=noise(3000),
        blob_512=noise(3000, 1, "sha512"),
        signature=artifact(subject.manifest, artifact_type="application/vnd.example.signature"),
        bill=artifact(
            subject.manifest,
            artifact_type="application/vnd.example.sbom",
            data=b"[]",
            annotations={"org.example.tool": "rig"},
        ),
    )


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory, samples: Samples) -> Iterator[Proxy]:
    with Upstream() as upstream:
        for content in (samples.image, samples.docker, samples.long, samples.blob, samples.blob_512):
            upstream.add(REPOSITORY, content)
        upstream.add(REPOSITORY, samples.index, *TAGS)
        upstream.add(REPOSITORY, samples.signature)
        upstream.add(REPOSITORY, samples.bill)
        settings = {"upstreams": {"docker.io": {"url": upstream.url}}}
        with Proxy(tmp_path_factory.mktemp("conformance"), settings) as running:
            yield running


@pytest.fixture(scope="session")
def client(proxy: Proxy) -> Client:
    return proxy.client


def manifest(reference: str, repository: str = REPOSITORY) -> str:
    return path_of(repository, reference)


def blob(digest: str, repository: str = REPOSITORY) -> str:
    return path_of(repository, digest, what="blobs")


def referrers(digest: str) -> str:
    return path_of(REPOSITORY, digest, what="referrers")


def tags(repository: str = REPOSITORY) -> str:
    return path_of(repository, "list", what="tags")
