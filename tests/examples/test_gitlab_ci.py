"""gitlab-ci.yml: each image that it names can be pulled."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.examples.files import ADDRESS, EXAMPLES
from tests.rig.images import image
from tests.rig.proxy import Proxy
from tests.rig.upstream import Upstream

PIPELINE: Mapping[str, Any] = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
AT_THE_UPSTREAMS = {
    ("docker.io", "library/alpine", "3.22"),
    ("docker.io", "library/python", "3.13-slim"),
    ("docker.io", "library/postgres", "17"),
    ("quay.io", "org/linter", "2"),
}


def images() -> Iterator[str]:
    """As the runner reads them: with the variables in place."""
    for job in PIPELINE.values():
        for name in (job.get("image"), *(service["name"] for service in job.get("services", ()))):
            if name:
                yield re.sub(r"\$\{(\w+)\}", lambda match: str(PIPELINE["variables"][match[1]]), name)


@pytest.fixture(scope="module", autouse=True)
def contents(upstreams: Mapping[str, Upstream]) -> None:
    for upstream, repository, tag in AT_THE_UPSTREAMS:
        upstreams[upstream].add(repository, image(), tag)


def test_it_names_images_of_two_upstreams() -> None:
    assert len(set(images())) == len(AT_THE_UPSTREAMS)


@pytest.mark.parametrize("name", sorted(set(images())))
def test_the_proxy_has_each_image(name: str, proxy: Proxy) -> None:
    host, _, path = name.partition("/")
    repository, _, tag = path.rpartition(":")
    assert host == ADDRESS
    assert proxy.client.get(f"/v2/{repository}/manifests/{tag}").status_code == 200


def test_services_keep_a_short_host_name() -> None:
    for job in PIPELINE.values():
        for service in job.get("services", ()):
            assert re.fullmatch(r"[a-z0-9-]+", service["alias"])


def test_the_login_in_the_comment_is_for_the_same_address() -> None:
    text = (EXAMPLES / "gitlab-ci.yml").read_text()
    (key,) = re.findall(r'DOCKER_AUTH_CONFIG +\{"auths": \{"([^"]+)"', text)
    assert key == ADDRESS
