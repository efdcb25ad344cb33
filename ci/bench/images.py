"""Images made on the spot, as files of a static registry: `<tree>/v2/<repository>/{blobs,manifests}/<digest>`."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MEGABYTE = 1024 * 1024
STAMP_SIZE = 64


@dataclass(frozen=True, slots=True)
class Blob:
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """One image of one platform; `blobs` are its config and its layers, in the order of the manifest."""

    repository: str
    manifest: Blob
    blobs: tuple[Blob, ...]

    @property
    def tag(self) -> str:
        """Spells the digest out: a static server can then answer with it and needs no table of tags."""
        return self.manifest.digest.replace("sha256:", "v-")

    @property
    def layers(self) -> tuple[Blob, ...]:
        return self.blobs[1:]


def add_image(tree: Path, repository: str, layers: tuple[Blob, ...]) -> Image:
    """Adds an image of layers that are in the repository already; two of the same layers have different digests."""
    config = _add(
        tree,
        repository,
        "blobs",
        _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Labels": {"bench": os.urandom(8).hex()}},
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            }
        ),
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(CONFIG_TYPE, config),
        "layers": [_descriptor(LAYER_TYPE, layer) for layer in layers],
    }
    return Image(repository, _add(tree, repository, "manifests", _json(manifest)), (config, *layers))


def add_layer(tree: Path, repository: str, size: int) -> Blob:
    """Adds a layer of `size` random bytes (a compressed layer looks random too)."""
    return _add(tree, repository, "blobs", os.urandom(size))


@dataclass(slots=True)
class NewBlobs:
    """Big blobs that no server has seen: one file, whose last bytes are changed for each.

    Only the latest can be pulled. The hash of what stays is kept, and the file stays in the page cache, so a new
    blob costs neither time nor a disk.
    """

    tree: Path
    repository: str
    size: int
    _file: Path = field(init=False)
    _hash: "hashlib._Hash" = field(init=False)

    def __post_init__(self) -> None:
        self._file = self.tree / "v2" / self.repository / "blobs" / "unnamed"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._hash = hashlib.sha256()
        left = self.size - STAMP_SIZE
        with self._file.open("wb") as file:
            while left:
                piece = os.urandom(min(MEGABYTE, left))
                file.write(piece)
                self._hash.update(piece)
                left -= len(piece)
            file.write(bytes(STAMP_SIZE))

    def next(self) -> Image:
        """An image whose one layer is new."""
        stamp = os.urandom(STAMP_SIZE)
        whole = self._hash.copy()
        whole.update(stamp)
        blob = Blob(f"sha256:{whole.hexdigest()}", self.size)
        with self._file.open("r+b") as file:
            file.seek(-STAMP_SIZE, os.SEEK_END)
            file.write(stamp)
        self._file = self._file.rename(self._file.with_name(blob.digest))
        return add_image(self.tree, self.repository, (blob,))


def _add(tree: Path, repository: str, kind: str, content: bytes) -> Blob:
    blob = Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    file = tree / "v2" / repository / kind / blob.digest
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return blob


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
