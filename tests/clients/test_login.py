"""Logging in, failing to, and tokens that end between two pulls."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client import DEV, Account, Client, Login
from tests.clients.conftest import publish
from tests.clients.containerd import Containerd
from tests.clients.containers import Buildah, Podman, Skopeo
from tests.clients.docker import Docker
from tests.rig.proxy import Proxy, path_of, scope_of
from tests.rig.registries import Registry

pytestmark = pytest.mark.clients

WRONG = Account(password="not-the-one")
STRANGER = Account(user="nobody")


def test_login(login: Login, proxy: Proxy) -> None:
    assert "Login Succeeded" in login.login(proxy.host).check().output


@pytest.mark.parametrize("account", [WRONG, STRANGER], ids=["password", "user"])
def test_wrong_login(login: Login, proxy: Proxy, account: Account) -> None:
    """Each client says in its own words, or in the proxy's, that it is the user name or the password."""
    failed = login.login(proxy.host, account)
    assert failed.returncode != 0
    assert "password" in failed.output.lower()
    assert account.password not in failed.output


def test_pull_with_a_wrong_password(client: Client, hub: Registry, proxy: Proxy) -> None:
    fresh = publish(hub)
    failed = client.pull(f"{proxy.prefix}/{fresh.name}:latest", WRONG)
    assert failed.returncode != 0
    assert "unauthorized" in failed.output.lower() or "401" in failed.output
    assert hub.requests() == (), "nobody is asked on behalf of a stranger"


@pytest.fixture(scope="module")
def hasty(folder: Path, hub: Registry) -> Iterator[Proxy]:
    """A proxy whose pull tokens live ten seconds."""
    settings = {"upstreams": {"docker.io": {"url": hub.url}}, "tokens": {"lifetime": "10s"}}
    with Proxy(folder / "hasty", settings) as running:
        yield running


def test_an_expired_token_is_replaced(
    hasty: Proxy,
    hub: Registry,
    docker: Docker,
    containerd: Containerd,
    podman: Podman,
    buildah: Buildah,
    skopeo: Skopeo,
    tmp_path: Path,
) -> None:
    """Daemons keep tokens; each gets a new one when theirs has ended. One wait serves all clients."""
    fresh = publish(hub)
    image = f"{hasty.prefix}/{fresh.name}:latest"
    clients: tuple[Client, ...] = (docker, containerd, podman, buildah, skopeo)
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nRUN true\n")
    logins = docker.logins(DEV, hasty.host)
    for client in clients:
        client.pull(image).check()
    docker.build(tmp_path, "buildkit", logins).check()
    token = hasty.client.token(scope_of(fresh.name))
    assert hasty.client.get(path_of(fresh.name, "latest"), token).status_code == 200

    time.sleep(12)

    ended = hasty.client.get(path_of(fresh.name, "latest"), token)
    assert ended.status_code == 401
    assert ended.headers["WWW-Authenticate"].startswith("Bearer realm=")
    for client in clients:
        client.forget(image)
        client.pull(image).check()
    docker.build(tmp_path, "buildkit", logins).check()
