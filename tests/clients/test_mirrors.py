"""Names of Docker Hub, unchanged, by the mirror settings of each client.

There is no way to Docker Hub from here but through the proxy: a pull that works has gone through it.
"""

from pathlib import Path

import pytest

from tests.clients.client import DEV, write_logins
from tests.clients.conftest import Published, publish
from tests.clients.containerd import Containerd, write_hosts
from tests.clients.containers import Podman, mirror_config
from tests.clients.docker import HUB_LOGIN, Docker
from tests.rig.proxy import Proxy
from tests.rig.registries import Registry

pytestmark = pytest.mark.clients


def test_docker_registry_mirrors(docker: Docker, fresh: Published, hub: Registry) -> None:
    """The engine asks /v2/library/... at the root, and shows the mirror its login of Docker Hub."""
    docker.pull(fresh.name, login_for=HUB_LOGIN).check()
    assert docker.config_digest(fresh.name) == fresh.amd64.config.digest
    docker.forget(fresh.name)
    hub.forget()
    docker.pull(fresh.name, login_for=HUB_LOGIN).check()
    assert [entry.method for entry in hub.requests()] == ["HEAD"]


def test_buildkit_mirror(docker: Docker, fresh: Published, proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {fresh.name}\nRUN id\n")
    docker.build(tmp_path, "buildkit", docker.logins(DEV, proxy.host)).check()


def test_containerd_at_the_root(
    containerd: Containerd, fresh: Published, proxy: Proxy, hub: Registry, tmp_path: Path
) -> None:
    """hosts.toml without a path: the proxy learns the registry from `?ns=`."""
    hosts = write_hosts(tmp_path, "docker.io", proxy.url)
    image = f"docker.io/library/{fresh.name}:latest"
    containerd.pull_by_mirror(image, hosts).check()
    assert containerd.config_digest(image) == fresh.amd64.config.digest
    containerd.forget(image)
    hub.forget()
    containerd.pull_by_mirror(image, hosts).check()
    assert [entry.method for entry in hub.requests()] == ["HEAD"]


def test_containerd_at_the_root_for_another_registry(
    containerd: Containerd, proxy: Proxy, quay: Registry, tmp_path: Path
) -> None:
    fresh = publish(quay, "org/mirrored")
    hosts = write_hosts(tmp_path, "quay.io", proxy.url)
    image = "quay.io/org/mirrored:latest"
    containerd.pull_by_mirror(image, hosts).check()
    assert containerd.config_digest(image) == fresh.amd64.config.digest


def test_containerd_onto_the_path_of_a_group(
    containerd: Containerd, fresh: Published, proxy: Proxy, tmp_path: Path
) -> None:
    """`override_path`: GitLab's path works as a mirror too, with the scope that the challenge names."""
    path = proxy.prefix.removeprefix(proxy.host)
    hosts = write_hosts(tmp_path, "docker.io", f"{proxy.url}/v2{path}", override_path=True)
    image = f"docker.io/library/{fresh.name}:latest"
    containerd.pull_by_mirror(image, hosts).check()
    assert containerd.config_digest(image) == fresh.amd64.config.digest


def test_podman(podman: Podman, fresh: Published, proxy: Proxy, tmp_path: Path) -> None:
    """registries.conf allows the path of a group in a mirror's location."""
    logins = write_logins(tmp_path / "auth.json", DEV, proxy.host)
    image = f"docker.io/library/{fresh.name}:latest"
    podman.pull_by_mirror(image, mirror_config(tmp_path, proxy), logins).check()
    assert podman.config_digest(image) == fresh.amd64.config.digest
