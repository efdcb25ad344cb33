"""Indexes stay what they are, and only what was asked for is fetched; artifacts travel too."""

import httpx2
import pytest

from tests.clients.client import DEV, Client
from tests.clients.conftest import Published, publish
from tests.clients.containers import Skopeo
from tests.rig.images import (
    Image,
    Kind,
    artifact,
    digest_of,
    fallback_tag,
    referrers_of,
)
from tests.rig.proxy import Proxy, path_of
from tests.rig.registries import Registry

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_all_platforms(skopeo: Skopeo, hub: Registry, proxy: Proxy, kind: Kind) -> None:
    """The index arrives byte for byte, so that a signature of it stays good."""
    fresh = publish(hub, kind=kind)
    image = f"{proxy.prefix}/{fresh.name}:latest"
    skopeo.pull(image, DEV, "--all").check()
    assert digest_of(skopeo.manifest(image)) == fresh.index.digest
    for child in fresh.index.images:
        assert hub.count("GET", f"*/blobs/{child.config.digest}") == 1


def test_one_platform(client: Client, fresh: Published, hub: Registry, proxy: Proxy) -> None:
    """Nothing of linux/arm64 is fetched for a client that runs linux/amd64."""
    client.pull(f"{proxy.prefix}/{fresh.name}:latest").check()
    arm64 = fresh.index.of("arm64")
    assert hub.count("*", f"*/manifests/{arm64.digest}") == 0
    assert hub.count("*", f"*/blobs/{arm64.config.digest}") == 0


def _signed(hub: Registry, fresh: Published) -> Image:
    """A signature of the index, listed under the fallback tag: this registry has no referrers API."""
    signature = artifact(fresh.index.manifest)
    hub.push(fresh.repository, signature)
    hub.push(fresh.repository, referrers_of(fresh.index.manifest, signature), fallback_tag(fresh.index.digest))
    return signature


def test_an_artifact_and_its_subject(fresh: Published, hub: Registry, proxy: Proxy) -> None:
    """What a verifier of signatures asks: who refers to this image, the manifest, the payload."""
    signature = _signed(hub, fresh)

    listed = proxy.client.get(path_of(fresh.name, fresh.index.digest, what="referrers"))
    assert listed.status_code == 200
    assert [each["digest"] for each in listed.json()["manifests"]] == [signature.digest]

    manifest = _get(proxy, path_of(fresh.name, signature.digest))
    assert manifest.content == signature.manifest.data
    payload = _get(proxy, path_of(fresh.name, signature.layers[0].digest, what="blobs"))
    assert payload.content == signature.layers[0].data


def _get(proxy: Proxy, path: str) -> httpx2.Response:
    return proxy.client.get(path).raise_for_status()
