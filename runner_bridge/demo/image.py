"""An image made on the spot: an index of two platforms, and the same bytes every time.

The shapes are those of the OCI image specification. The layers are not compressed, because what a compressor makes of
the same bytes differs between its versions.
"""

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"

_MADE: Final = "2026-01-01T00:00:00Z"
_LAYERS: Final = {"data/large": 3_000_000, "data/small": 1_500_000}  # bytes
_ARCHITECTURES: Final = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that a registry knows by their digest: an index, a manifest, a configuration or a layer."""

    media_type: str
    data: bytes
    digest: str

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Image:
    """The index with all that it leads to, by digest."""

    index: Content
    manifests: Mapping[str, Content]  # the index is one of them
    blobs: Mapping[str, Content]

    @property
    def layers(self) -> tuple[str, ...]:
        """Their digests."""
        return tuple(digest for digest, blob in self.blobs.items() if blob.media_type == LAYER_TYPE)

    def parts(self, architecture: str) -> tuple[str, ...]:
        """The digests of all that a client of this platform needs: index, manifest, configuration, layers."""
        entries = json.loads(self.index.data)["manifests"]
        (manifest,) = (one["digest"] for one in entries if one["platform"]["architecture"] == architecture)
        content = json.loads(self.manifests[manifest].data)
        blobs = (content["config"], *content["layers"])
        return (self.index.digest, manifest, *(one["digest"] for one in blobs))


def make_image() -> Image:
    layers = [_layer(name, size, seed) for seed, (name, size) in enumerate(_LAYERS.items())]
    blobs, manifests, entries = list(layers), [], []
    for architecture in _ARCHITECTURES:
        config = _json(CONFIG_TYPE, _config(architecture, layers))
        manifest = {"config": config.descriptor, "layers": [layer.descriptor for layer in layers]}
        blobs.append(config)
        manifests.append(_json(MANIFEST_TYPE, {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, **manifest}))
        entries.append({**manifests[-1].descriptor, "platform": {"architecture": architecture, "os": "linux"}})
    index = _json(INDEX_TYPE, {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})
    return Image(index, _by_digest(index, *manifests), _by_digest(*blobs))


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(name: str, size: int, seed: int) -> Content:
    """A tar of one file, whose bytes look as random as a compressed layer's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = size
        archive.addfile(member, io.BytesIO(random.Random(seed).randbytes(size)))  # noqa: S311 - no secret is made
    return _content(LAYER_TYPE, buffer.getvalue())


def _config(architecture: str, layers: list[Content]) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "os": "linux",
        "created": _MADE,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created": _MADE, "created_by": "runner-bridge demo"} for _ in layers],
    }


def _json(media_type: str, document: object) -> Content:
    return _content(media_type, json.dumps(document, separators=(",", ":")).encode())


def _content(media_type: str, data: bytes) -> Content:
    return Content(media_type, data, digest_of(data))


def _by_digest(*contents: Content) -> dict[str, Content]:
    return {content.digest: content for content in contents}
