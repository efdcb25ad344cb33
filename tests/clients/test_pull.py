"""Cold, warm, and while the upstream is away: the promise of a pull-through cache, to each client."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.clients.client import Client, Runner
from tests.clients.conftest import Published, publish
from tests.rig.images import Kind
from tests.rig.processes import wait_for
from tests.rig.proxy import Proxy, path_of
from tests.rig.registries import Registry

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_cold(client: Client, hub: Registry, proxy: Proxy, kind: Kind) -> None:
    """The right image arrives, and the upstream sends each of its blobs once."""
    fresh = publish(hub, kind=kind)
    image = f"{proxy.prefix}/{fresh.name}:latest"
    client.pull(image).check()
    assert client.config_digest(image) == fresh.amd64.config.digest
    unique = fresh.amd64.blobs[-1]
    assert hub.count("GET", f"/v2/{fresh.repository}/blobs/{unique.digest}") == 1


def test_it_runs(runner: Runner, fresh: Published, proxy: Proxy) -> None:
    image = f"{proxy.prefix}/{fresh.name}:latest"
    runner.pull(image).check()
    assert "uid=0(root)" in runner.run(image, "id").check().stdout
    assert runner.run(image, "wc", "-c", "/data/noise").check().stdout.split() == ["200000", "/data/noise"]


def test_warm(client: Client, fresh: Published, hub: Registry, proxy: Proxy) -> None:
    """The upstream is asked one thing: whether the tag has moved."""
    image = f"{proxy.prefix}/{fresh.name}:latest"
    client.pull(image).check()
    client.forget(image)
    hub.forget()
    client.pull(image).check()
    asked = [(entry.method, entry.path) for entry in hub.requests()]
    assert asked == [("HEAD", f"/v2/{fresh.repository}/manifests/latest")]
    assert client.config_digest(image) == fresh.amd64.config.digest


def test_warm_by_digest(client: Client, fresh: Published, hub: Registry, proxy: Proxy) -> None:
    """A digest can't move: the upstream is asked nothing."""
    image = f"{proxy.prefix}/{fresh.name}@{fresh.index.digest}"
    client.pull(image).check()
    client.forget(image)
    hub.forget()
    client.pull(image).check()
    assert hub.requests() == ()


def test_a_moved_tag_is_followed(client: Client, fresh: Published, hub: Registry, proxy: Proxy) -> None:
    image = f"{proxy.prefix}/{fresh.name}:latest"
    client.pull(image).check()
    moved = publish(hub, fresh.name)
    client.pull(image).check()
    assert client.config_digest(image) == moved.amd64.config.digest != fresh.amd64.config.digest


@contextmanager
def away(hub: Registry, proxy: Proxy) -> Iterator[None]:
    """An outage, until the proxy asks the registry again: it leaves one that failed in peace for a moment."""
    hub.stop()
    try:
        yield
    finally:
        hub.start()
        unknown = path_of(f"app-{uuid4().hex}", "latest")
        wait_for(lambda: proxy.client.get(unknown).status_code == 404, "the proxy asking its upstream again", 30)


def test_the_upstream_is_away(client: Client, fresh: Published, hub: Registry, proxy: Proxy) -> None:
    image = f"{proxy.prefix}/{fresh.name}:latest"
    client.pull(image).check()
    client.forget(image)
    with away(hub, proxy):
        client.pull(image).check()
    assert client.config_digest(image) == fresh.amd64.config.digest
