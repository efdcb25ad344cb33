"""Groups, upstreams and images by their names, and what a client says when a name is wrong."""

import pytest

from tests.clients.client import Client
from tests.clients.conftest import NESTED, Published, publish
from tests.clients.containers import Skopeo
from tests.rig.processes import Completed
from tests.rig.proxy import Proxy, path_of
from tests.rig.registries import Registry

pytestmark = pytest.mark.clients


def test_a_nested_group(client: Client, fresh: Published, proxy: Proxy) -> None:
    image = f"{proxy.prefix_of(NESTED)}/{fresh.name}:latest"
    client.pull(image).check()
    assert client.config_digest(image) == fresh.amd64.config.digest


def test_library_may_be_left_out_or_written(client: Client, fresh: Published, hub: Registry, proxy: Proxy) -> None:
    """`alpine` and `library/alpine` are one image in the cache."""
    client.pull(f"{proxy.prefix}/{fresh.name}:latest").check()
    client.forget(f"{proxy.prefix}/{fresh.name}:latest")
    hub.forget()
    client.pull(f"{proxy.prefix}/library/{fresh.name}:latest").check()
    assert hub.count("GET") == 0


def test_an_image_of_another_upstream(client: Client, quay: Registry, hub: Registry, proxy: Proxy) -> None:
    fresh = publish(quay, f"org/{client.name}")
    hub.forget()
    image = f"{proxy.prefix}/quay.io/{fresh.name}:latest"
    client.pull(image).check()
    assert client.config_digest(image) == fresh.amd64.config.digest
    assert hub.requests() == ()


def said(failed: Completed, proxy: Proxy, path: str) -> bool:
    """Whether a client has shown its user the cause that the proxy gave."""
    (error,) = proxy.client.get(path).json()["errors"]
    return error["message"] in failed.output.replace("\\", "")


def test_an_image_that_does_not_exist(client: Client, proxy: Proxy) -> None:
    failed = client.pull(f"{proxy.prefix}/no-such-image:latest")
    assert failed.returncode != 0
    if client.name == "containerd":  # It asks by HEAD, whose answer has no body.
        assert "not found" in failed.output
    else:
        assert said(failed, proxy, path_of("no-such-image", "latest"))


def test_an_upstream_that_is_not_configured(skopeo: Skopeo, hub: Registry, proxy: Proxy) -> None:
    """Never Docker Hub instead: that would be somebody else's image."""
    hub.forget()
    failed = skopeo.pull(f"{proxy.prefix}/ghcr.io/org/app:latest")
    assert failed.returncode != 0
    assert said(failed, proxy, path_of("ghcr.io/org/app", "latest"))
    assert hub.requests() == ()


def test_a_group_that_is_not_served(skopeo: Skopeo, fresh: Published, proxy: Proxy) -> None:
    failed = skopeo.pull(f"{proxy.prefix_of('other')}/{fresh.name}:latest")
    assert failed.returncode != 0
    assert said(failed, proxy, path_of(fresh.name, "latest", group="other"))
