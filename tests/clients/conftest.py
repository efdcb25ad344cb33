"""Registries, a proxy and the clients: each started once, when the first test asks for it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.clients.client import Client, Login, Runner
from tests.clients.containerd import Containerd
from tests.clients.containers import Buildah, Podman, Skopeo
from tests.clients.docker import Docker
from tests.rig.images import Image, Index, Kind, layer, noise, runnable_index
from tests.rig.presence import need
from tests.rig.proxy import GROUP, PASSWORD_HASH, USER, Proxy
from tests.rig.registries import Registry

NESTED = "a/b/c"
"""A group below `a/b`, of which the user is a guest."""


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Short, because sockets in it have names of at most 108 bytes; removed, because images are large."""
    path = Path(tempfile.mkdtemp(prefix="rig-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def hub(folder: Path) -> Iterator[Registry]:
    """The registry that is `docker.io` to the proxy."""
    need("pulls from a real registry", "docker-registry", "busybox")
    with Registry(folder / "hub") as registry:
        yield registry


@pytest.fixture(scope="session")
def quay(folder: Path) -> Iterator[Registry]:
    """The registry that is `quay.io` to the proxy."""
    need("pulls from a second upstream", "docker-registry", "busybox")
    with Registry(folder / "quay") as registry:
        yield registry


@pytest.fixture(scope="session")
def proxy(folder: Path, hub: Registry, quay: Registry) -> Iterator[Proxy]:
    settings = {
        "upstreams": {"docker.io": {"url": hub.url}, "quay.io": {"url": quay.url}},
        "groups": {GROUP: {"enabled": True}, NESTED: {"enabled": True}},
        "users": {USER: {"password_hash": PASSWORD_HASH, "groups": {GROUP: "guest", "a/b": "guest"}}},
        "mirror": {"group": GROUP},
    }
    with Proxy(folder / "proxy", settings) as running:
        yield running


@pytest.fixture(scope="session")
def skopeo(folder: Path) -> Skopeo:
    need("skopeo", "skopeo")
    return Skopeo(folder / "skopeo")


@pytest.fixture(scope="session")
def podman(folder: Path) -> Iterator[Podman]:
    need("podman", "podman", "runc", root=True)
    with closing(Podman(folder / "podman")) as running:
        yield running


@pytest.fixture(scope="session")
def buildah(folder: Path) -> Buildah:
    need("buildah", "buildah", root=True)
    return Buildah(folder / "buildah")


@pytest.fixture(scope="session")
def containerd(folder: Path) -> Iterator[Containerd]:
    need("containerd", "containerd", "ctr", "runc", root=True)
    with closing(Containerd(folder / "containerd")) as running:
        yield running


@pytest.fixture(scope="session")
def docker(folder: Path, proxy: Proxy) -> Iterator[Docker]:
    """Docker's engine, with the proxy as its registry-mirror."""
    need("docker's engine, its builders and its registry-mirrors", "dockerd", "docker", "runc", root=True)
    with closing(Docker(folder / "docker", proxy.url)) as running:
        yield running


@pytest.fixture(params=["docker", "containerd", "podman", "buildah", "skopeo"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each client that pulls."""
    chosen: Client = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(params=["docker", "containerd", "podman"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each client that runs what it pulled."""
    chosen: Runner = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(params=["docker", "podman", "buildah", "skopeo"])
def login(request: pytest.FixtureRequest) -> Login:
    """Each client with a login command."""
    chosen: Login = request.getfixturevalue(request.param)
    return chosen


@dataclass(frozen=True, slots=True)
class Published:
    """An image of two platforms at an upstream, that no client and no cache has seen."""

    name: str
    index: Index

    @property
    def amd64(self) -> Image:
        return self.index.of("amd64")

    @property
    def repository(self) -> str:
        return self.name if "/" in self.name else f"library/{self.name}"


def publish(registry: Registry, name: str = "", kind: Kind = "oci") -> Published:
    """Push something new, tagged `latest`; a name without a slash goes into `library/`."""
    unique = uuid4().hex
    content = layer({"etc/unique": unique.encode(), "data/noise": noise(200_000, int(unique, 16)).data}, kind=kind)
    published = Published(name or f"app-{unique[:12]}", runnable_index(content, kind=kind))
    registry.push(published.repository, published.index, "latest")
    registry.forget()
    return published


@pytest.fixture
def fresh(hub: Registry) -> Published:
    """Something new at the hub."""
    return publish(hub)
