"""Container images made on the spot: no network, and the same bytes every time.

The shapes follow the OCI image specification and Docker's image manifest v2, schema 2.
"""

import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
OCTETS = "application/octet-stream"

MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

TYPE_OF_MANIFEST = {"oci": OCI_MANIFEST, "docker": DOCKER_MANIFEST}
TYPE_OF_INDEX = {"oci": OCI_INDEX, "docker": DOCKER_LIST}
TYPE_OF_CONFIG = {
    "oci": "application/vnd.oci.image.config.v1+json",
    "docker": "application/vnd.docker.container.image.v1+json",
}
TYPE_OF_LAYER = {
    "oci": "application/vnd.oci.image.layer.v1.tar+gzip",
    "docker": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}

Kind = Literal["oci", "docker"]
Algorithm = Literal["sha256", "sha512"]

COMMANDS = ("cat", "echo", "id", "ls", "sh", "sleep", "true", "uname", "wc")
"""The names under which busybox stands in the image of `runnable`."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their media type and digest: a layer, a configuration or a manifest."""

    data: bytes
    media_type: str
    digest: str

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Layer:
    """A gzipped tar, and the digest of the tar inside: what a configuration lists as `diff_ids`."""

    blob: Blob
    diff_id: str


@dataclass(frozen=True, slots=True)
class Image:
    """One manifest with all that it names. An artifact is an image too: its layers are any blobs."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    architecture: str = "amd64"

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """An index (a manifest list, to Docker) over images of several platforms."""

    manifest: Blob
    images: tuple[Image, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def of(self, architecture: str) -> Image:
        """The image of one platform."""
        return next(image for image in self.images if image.architecture == architecture)


def digest_of(data: bytes, algorithm: Algorithm = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def blob(data: bytes, media_type: str = OCTETS, algorithm: Algorithm = "sha256") -> Blob:
    return Blob(data, media_type, digest_of(data, algorithm))


def noise(size: int, seed: int = 0, algorithm: Algorithm = "sha256") -> Blob:
    """A blob of `size` bytes that do not compress; another seed gives other bytes."""
    return blob(random.Random(seed).randbytes(size), OCTETS, algorithm)


def document(value: object, media_type: str, algorithm: Algorithm = "sha256") -> Blob:
    """A JSON blob, laid out as registries commonly send it."""
    return blob(json.dumps(value, indent=3).encode(), media_type, algorithm)


def layer(
    files: Mapping[str, bytes],
    links: Mapping[str, str] | None = None,
    *,
    kind: Kind = "oci",
    algorithm: Algorithm = "sha256",
) -> Layer:
    """A layer of executable files (path -> content) and symbolic links (path -> target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in sorted(_members(files, links or {}), key=lambda pair: pair[0].name):
            archive.addfile(member, io.BytesIO(content))
    packed = gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)
    return Layer(blob(packed, TYPE_OF_LAYER[kind], algorithm), digest_of(buffer.getvalue()))


def _members(files: Mapping[str, bytes], links: Mapping[str, str]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    folders = {str(parent) for name in (*files, *links) for parent in Path(name).parents} - {"."}
    for name in folders:
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        yield folder, b""
    for name, content in files.items():
        file = tarfile.TarInfo(name)
        file.size, file.mode = len(content), 0o755
        yield file, content
    for name, target in links.items():
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, target
        yield link, b""


def image(
    *layers: Layer,
    kind: Kind = "oci",
    architecture: str = "amd64",
    annotations: Mapping[str, str] | None = None,
    algorithm: Algorithm = "sha256",
) -> Image:
    """An image of these layers (none given: one small file, so that no two platforms are equal)."""
    layers = layers or (layer({"etc/platform": architecture.encode()}, kind=kind, algorithm=algorithm),)
    config = document(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "rig"} for _ in layers],
            "created": "2026-01-01T00:00:00Z",
        },
        TYPE_OF_CONFIG[kind],
        algorithm,
    )
    blobs = tuple(each.blob for each in layers)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": TYPE_OF_MANIFEST[kind],
        "config": config.descriptor,
        "layers": [each.descriptor for each in blobs],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    return Image(document(manifest, TYPE_OF_MANIFEST[kind], algorithm), config, blobs, architecture)


def large_image(size: int, *, seed: int = 0, layers: int = 1, kind: Kind = "oci") -> Image:
    """An image whose layers hold `size` incompressible bytes each."""
    parts = (layer({f"data/{n}": noise(size, seed + n).data}, kind=kind) for n in range(layers))
    return image(*parts, kind=kind)


def runnable(*layers: Layer, kind: Kind = "oci", architecture: str = "amd64") -> Image:
    """An image that runs `sh`, `id`, `true` and the other `COMMANDS`, with these layers on top.

    :raises LookupError: no static busybox here (Debian's package `busybox-static`).
    """
    return image(_busybox_layer(kind), *layers, kind=kind, architecture=architecture)


@cache
def _busybox_layer(kind: Kind) -> Layer:
    links = {f"bin/{name}": "busybox" for name in COMMANDS}
    files = {"bin/busybox": _busybox(), "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n"}
    return layer(files, links, kind=kind)


def _busybox() -> bytes:
    path = shutil.which("busybox")
    if path is None:
        raise LookupError("no busybox here: install Debian's package busybox-static")
    linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=False, timeout=10)
    if linked.returncode == 0:
        raise LookupError(f"{path} is not static: install Debian's package busybox-static")
    return Path(path).read_bytes()


def index(*images: Image, kind: Kind = "oci", algorithm: Algorithm = "sha256") -> Index:
    """An index over these images (none given: linux/amd64, which is not runnable, and linux/arm64)."""
    images = images or tuple(image(kind=kind, architecture=name) for name in ("amd64", "arm64"))
    children = [
        {**each.manifest.descriptor, "platform": {"architecture": each.architecture, "os": "linux"}} for each in images
    ]
    value = {"schemaVersion": 2, "mediaType": TYPE_OF_INDEX[kind], "manifests": children}
    return Index(document(value, TYPE_OF_INDEX[kind], algorithm), images)


def runnable_index(*layers: Layer, kind: Kind = "oci") -> Index:
    """linux/amd64, which runs, and linux/arm64; both with these layers on top."""
    return index(runnable(*layers, kind=kind), image(*layers, kind=kind, architecture="arm64"), kind=kind)


def artifact(
    subject: Blob,
    *,
    artifact_type: str = "application/vnd.example.signature.v1",
    data: bytes = b"signed",
    annotations: Mapping[str, str] | None = None,
    algorithm: Algorithm = "sha256",
) -> Image:
    """A manifest that refers to another (`subject`): what the referrers API lists."""
    config = blob(b"{}", EMPTY_CONFIG, algorithm)
    payload = blob(data, OCTETS, algorithm)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config.descriptor,
        "layers": [payload.descriptor],
        "subject": subject.descriptor,
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    return Image(document(manifest, OCI_MANIFEST, algorithm), config, (payload,))


def referrers_of(subject: Blob, *artifacts: Image) -> Index:
    """The index that the referrers API answers; clients also look for it under a fallback tag."""
    manifests = []
    for each in artifacts:
        content = each.manifest.json()
        entry = {**each.manifest.descriptor, "artifactType": content["artifactType"]}
        if "annotations" in content:
            entry["annotations"] = content["annotations"]
        manifests.append(entry)
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return Index(document(value, OCI_INDEX), artifacts)


def fallback_tag(digest: str) -> str:
    """The tag under which referrers of `digest` are listed where the API is missing (distribution-spec)."""
    return digest.replace(":", "-")
