"""mirrors/: each file leads to a door that the proxy has, and where its client is here, a pull goes through it.

There is no way to another registry from a name that only the test's upstreams know: a pull that works used the mirror.
"""

import json
import tomllib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from proxy_core.reference import parse_wire_name
from proxy_core.settings import Settings
from proxy_core.settings.load import load
from tests.clients.client import DEV, write_logins
from tests.clients.containerd import Containerd
from tests.clients.containers import Podman
from tests.clients.docker import HUB_LOGIN, Docker
from tests.examples.files import EXAMPLES, leading_to, uncommented, with_secrets
from tests.rig.images import Index, index
from tests.rig.presence import need
from tests.rig.processes import run
from tests.rig.proxy import Proxy
from tests.rig.upstream import Upstream

MIRRORS = EXAMPLES / "mirrors"


def read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads((MIRRORS / name).read_text())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of full.yaml, whose proxy these files lead to."""
    return load(with_secrets("full.yaml", tmp_path), {})


def test_daemon_json(settings: Settings) -> None:
    """dockerd takes no path in a mirror's address."""
    assert json.loads((MIRRORS / "daemon.json").read_text()) == {"registry-mirrors": [settings.server.external_url]}


def test_hosts_toml(settings: Settings) -> None:
    hosts = read_toml("hosts.toml")
    assert hosts["host"] == {settings.server.external_url: {"capabilities": ["pull", "resolve"]}}


def test_hosts_toml_onto_the_path_of_a_group(settings: Settings) -> None:
    hosts = tomllib.loads(uncommented((MIRRORS / "hosts.toml").read_text()))["host"]
    ((url, host),) = hosts.items()
    assert url.startswith(f"{settings.server.external_url}/v2/")
    assert host["override_path"] is True
    assert_leads(settings, f"{urlsplit(url).path.removeprefix('/v2/')}/library/alpine", "docker.io/library/alpine")


def test_buildkitd_toml(settings: Settings) -> None:
    """Whose mirrors are hosts; the registry comes as `?ns=`, and must be an upstream."""
    for name, registry in read_toml("buildkitd.toml")["registry"].items():
        assert name in settings.upstreams
        assert registry["mirrors"] == [urlsplit(settings.server.external_url).netloc]


def test_registries_conf(settings: Settings) -> None:
    for registry in read_toml("registries.conf")["registry"]:
        assert registry["prefix"] == registry["location"]
        (mirror,) = registry["mirror"]
        host, _, path = mirror["location"].partition("/")
        assert host == urlsplit(settings.server.external_url).netloc
        assert_leads(settings, f"{path}/org/app", f"{registry['prefix']}/org/app")


def assert_leads(settings: Settings, path: str, repository: str) -> None:
    """That a path is an image of a served group, of an upstream that is configured."""
    image = parse_wire_name(path)
    assert str(image.repository) == repository
    assert image.repository.upstream in settings.upstreams
    assert settings.group_of(image.group)


# By the clients themselves


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """All these clients are written in Go, which reads this."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))


def published(upstream: Upstream, namespace: str) -> tuple[str, Index]:
    """Something new at an upstream: its repository, and what is tagged `latest` there."""
    repository, content = f"{namespace}/app-{uuid4().hex[:12]}", index()
    upstream.add(repository, content, "latest")
    return repository, content


pulls = pytest.mark.usefixtures("trusted")
UPSTREAMS = pytest.mark.parametrize(("name", "namespace"), [("docker.io", "library"), ("quay.io", "org")])


@pulls
@UPSTREAMS
def test_skopeo(name: str, namespace: str, proxy: Proxy, upstreams: Mapping[str, Upstream], tmp_path: Path) -> None:
    need("skopeo by way of registries.conf", "skopeo")
    repository, content = published(upstreams[name], namespace)
    registries = leading_to(proxy, "mirrors/registries.conf", tmp_path)
    logins = write_logins(tmp_path / "auth.json", DEV, proxy.host)
    source = ("--all", "--authfile", logins, f"docker://{name}/{repository}:latest")
    run(["skopeo", "--registries-conf", registries, "copy", *source, f"dir:{tmp_path / 'copy'}"]).check()
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == content.manifest.data


@pulls
@UPSTREAMS
@pytest.mark.clients
def test_podman(
    name: str, namespace: str, proxy: Proxy, upstreams: Mapping[str, Upstream], folder: Path, tmp_path: Path
) -> None:
    need("podman by way of registries.conf", "podman", root=True)
    repository, content = published(upstreams[name], namespace)
    registries = leading_to(proxy, "mirrors/registries.conf", tmp_path)
    logins = write_logins(tmp_path / "auth.json", DEV, proxy.host)
    with closing(Podman(folder / f"podman-{name}")) as podman:
        podman.pull_by_mirror(f"{name}/{repository}:latest", registries, logins).check()
        assert podman.config_digest(f"{name}/{repository}:latest") == content.of("amd64").config.digest


@pulls
@UPSTREAMS
@pytest.mark.clients
def test_containerd(
    name: str, namespace: str, proxy: Proxy, upstreams: Mapping[str, Upstream], folder: Path, tmp_path: Path
) -> None:
    need("containerd by way of hosts.toml", "containerd", "ctr", root=True)
    repository, content = published(upstreams[name], namespace)
    leading_to(proxy, "mirrors/hosts.toml", tmp_path / name)
    with closing(Containerd(folder / f"containerd-{name}")) as containerd:
        containerd.pull_by_mirror(f"{name}/{repository}:latest", tmp_path).check()
        assert containerd.config_digest(f"{name}/{repository}:latest") == content.of("amd64").config.digest


@pulls
@pytest.mark.clients
def test_dockerd(proxy: Proxy, upstreams: Mapping[str, Upstream], folder: Path, tmp_path: Path) -> None:
    need("dockerd by way of daemon.json", "dockerd", "docker", root=True)
    repository, content = published(upstreams["docker.io"], "library")
    image = repository.removeprefix("library/")
    mirrors = json.loads(leading_to(proxy, "mirrors/daemon.json", tmp_path).read_text())["registry-mirrors"]
    with closing(Docker(folder / "docker", *mirrors)) as docker:
        docker.pull(image, login_for=HUB_LOGIN).check()
        assert docker.config_digest(image) == content.of("amd64").config.digest
