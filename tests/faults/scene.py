"""A proxy before many upstreams, each with a name, an image and, sooner or later, a trouble of its own."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.rig.images import Blob, Image, digest_of, large_image
from tests.rig.processes import wait_for
from tests.rig.proxy import Proxy, merged, path_of
from tests.rig.upstream import Upstream

REPOSITORY = "org/app"
QUICK = {"timeouts": {"connect": "2s", "read": "2s"}}
"""So that an upstream that says nothing is given up within a test's patience."""


@dataclass(frozen=True, slots=True)
class Source:
    """An upstream as the proxy knows it, with an image tagged `latest`."""

    name: str
    upstream: Upstream
    image: Image
    proxy: Proxy

    @property
    def layer(self) -> Blob:
        return self.image.layers[0]

    def manifest(self, reference: str = "latest") -> str:
        """The path of a manifest at the proxy."""
        return path_of(f"{self.name}/{REPOSITORY}", reference)

    def blob(self, blob: Blob | None = None) -> str:
        """The path of a blob at the proxy (default: the layer)."""
        return path_of(f"{self.name}/{REPOSITORY}", (blob or self.layer).digest, what="blobs")

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """The answer; of one whose body ends short, an exception."""
        return self.proxy.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def stored(self, blob: Blob | None = None) -> str | None:
        """The digest of what the proxy has committed under a blob's digest; None: nothing."""
        wanted = (blob or self.layer).digest
        algorithm, _, digits = wanted.partition(":")
        path = self.proxy.data / "blobs" / algorithm / digits[:2] / digits
        return digest_of(path.read_bytes()) if path.exists() else None

    def wait_stored(self, blob: Blob | None = None) -> None:
        """Until a blob is committed, which is after its last byte is given out."""
        wanted = (blob or self.layer).digest
        wait_for(lambda: self.stored(blob) == wanted, f"{wanted} in the store")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upstream is, if it is not simply here: `settings` are merged over those of all."""

    upstream: Upstream | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


Scene = Mapping[str, Source]


@contextmanager
def scene(
    folder: Path,
    places: Mapping[str, Place],
    *,
    size: int = 200_000,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """A running proxy and its upstreams by name, each with another image whose one layer has about `size` bytes."""
    with ExitStack() as stack:
        upstreams: dict[str, Upstream] = {}
        images: dict[str, Image] = {}
        configured: dict[str, Any] = {}
        for number, (name, place) in enumerate(places.items()):
            upstreams[name] = stack.enter_context(place.upstream or Upstream())
            images[name] = large_image(size, seed=number)
            upstreams[name].add(REPOSITORY, images[name], "latest")
            configured[name] = merged({"url": upstreams[name].url, **QUICK}, place.settings)
        whole = merged({"upstreams": configured}, settings or {})
        proxy = stack.enter_context(Proxy(folder, whole, env=env))
        yield {name: Source(name, upstreams[name], images[name], proxy) for name in places}


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    """The one error of an answer of 400 and above, which must have the specification's form and name a next step."""
    assert answer.status_code >= 400, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert set(error) == {"code", "message", "detail"}
    assert error["message"]
    assert error["detail"]["cause"]
    assert error["detail"]["request_id"]
    found: dict[str, Any] = error
    return found
