"""Images, manifests and blobs to fill an index with. The index does not hash, so digests are just numbers."""

from collections.abc import Iterable

from proxy_core.reference import Digest, Image, Repository
from proxy_core.storage.index.model import Descriptor, Index, Kind, Manifest

ALPINE = Image("group", Repository("docker.io", "library/alpine"))
BUSYBOX = Image("group", Repository("docker.io", "library/busybox"))
OTHER_ALPINE = Image("other", ALPINE.repository)
SUBGROUP_ALPINE = Image("group/team", ALPINE.repository)
IMAGES = (ALPINE, BUSYBOX, OTHER_ALPINE, SUBGROUP_ALPINE)


def digest(number: int) -> Digest:
    """A digest that is always the same for the same number."""
    return Digest("sha256", f"{number:064x}")


def manifest(number: int, size: int = 100) -> Manifest:
    """An image manifest of so many bytes."""
    return Manifest(digest(number), "application/vnd.oci.image.manifest.v1+json", bytes([number % 256]) * size)


def child(of: Manifest, platform: str = "linux/amd64") -> Descriptor:
    """How an index refers to one of its manifests."""
    return Descriptor(of.digest, Kind.MANIFEST, len(of.content), platform)


def layer(number: int, size: int = 1000) -> Descriptor:
    """How a manifest refers to a blob."""
    return Descriptor(digest(number), Kind.BLOB, size)


async def everything(index: Index, limit: int = 1000) -> "list[tuple[str, str | None, int]]":
    """All entries, page by page, as image, tag and the number of the digest."""
    found = []
    after = 0
    while True:
        page, after = await index.entries(after=after, limit=limit)
        assert len(page) <= limit
        found += [(str(entry.image), entry.tag, int(entry.digest.hex, 16)) for entry in page]
        if after == 0:
            return found


async def had(index: Index, image: Image, numbers: Iterable[int]) -> set[int]:
    """Which of these manifests the image has."""
    return {number for number in numbers if await index.manifest(image, digest(number)) is not None}


async def served(index: Index, image: Image, numbers: Iterable[int]) -> set[int]:
    """Which of these blobs the image may serve."""
    return {number for number in numbers if await index.blob_size(image, digest(number)) is not None}
