"""A registry to ask, and images to ask it for."""

from collections.abc import Iterator

import pytest

from tests.rig.images import Blob, Image, Index, image, index, noise
from tests.rig.upstream import Upstream
from tests.upstream.rooms import ALPINE, Seen


@pytest.fixture
def rig() -> Iterator[Upstream]:
    """An open registry that fails as told."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def alpine(rig: Upstream) -> Image:
    """library/alpine:latest, at the rig."""
    content = image()
    rig.add(ALPINE, content, "latest")
    return content


@pytest.fixture
def platforms(rig: Upstream) -> Index:
    """library/alpine:many, an index over two platforms, at the rig."""
    content = index()
    rig.add(ALPINE, content, "many")
    return content


@pytest.fixture(scope="session")
def large_blob() -> Blob:
    """Large enough to be read straight from its socket."""
    return noise(12_000_000, seed=1)


@pytest.fixture(scope="session")
def small_blob() -> Blob:
    return noise(200_000, seed=2)
