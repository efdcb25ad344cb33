"""`FROM <prefix>/image` in each builder."""

from pathlib import Path

import pytest

from tests.clients.client import DEV
from tests.clients.conftest import Published, publish
from tests.clients.containers import Buildah
from tests.clients.docker import Builder, Docker
from tests.rig.proxy import Proxy
from tests.rig.registries import Registry

pytestmark = pytest.mark.clients


@pytest.fixture
def context(fresh: Published, hub: Registry, proxy: Proxy, tmp_path: Path) -> Path:
    """Two stages from two images, and a RUN that needs the base to be what it should be."""
    other = publish(hub)
    lines = (
        f"FROM {proxy.prefix}/{other.name}:latest AS tools",
        "RUN id > /who",
        f"FROM {proxy.prefix}/{fresh.name}:latest",
        "COPY --from=tools /who /who",
        "RUN cat /who",
    )
    (tmp_path / "Dockerfile").write_text("\n".join((*lines, "")))
    return tmp_path


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_docker_build(docker: Docker, context: Path, proxy: Proxy, builder: Builder) -> None:
    built = docker.build(context, builder, docker.logins(DEV, proxy.host)).check()
    assert "uid=0(root)" in built.output


def test_buildah(buildah: Buildah, context: Path) -> None:
    assert "uid=0(root)" in buildah.build(context).check().output
