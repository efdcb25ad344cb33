"""What an index keeps, and what any index must do. ``tests/storage/index`` has the suite that each one passes.

The index knows which group has which image, which tag is which manifest, who refers to whom, and when something was
last read. It holds the manifests themselves too: they are small, and so they change in one transaction with the rest.
Times are seconds since the epoch, sizes bytes. Methods raise :class:`~proxy_core.errors.StorageError` when the
database fails.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from proxy_core.reference import Digest, Image, Repository


class Kind(StrEnum):
    """What a manifest may refer to."""

    MANIFEST = "manifest"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One reference of a manifest: a child of an index, a config or a layer."""

    digest: Digest
    kind: Kind
    size: int
    platform: str | None = None  # "linux/arm64/v8", for the children of an index


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, byte for byte as the upstream gave it."""

    digest: Digest
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class TaggedManifest:
    """What a tag is, and when the upstream last said so."""

    manifest: Manifest
    confirmed_at: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A cached answer about a repository: its tags, or the referrers of a digest."""

    content: bytes
    fetched_at: float


@dataclass(frozen=True, slots=True)
class Pause:
    """An upstream that is not asked for a while, by any worker."""

    until: float
    cause: str
    strikes: int  # failures in a row; the next pause grows with it


@dataclass(frozen=True, slots=True)
class Quota:
    """What an upstream said of its rate limit, for one account."""

    upstream: str
    account: str  # our user name there; "" when anonymous
    limit: int
    remaining: int
    window: float  # seconds
    source: str  # Docker-RateLimit-Source: an address or an account id
    observed_at: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of ``cache list``: a tag of an image, or a manifest without one."""

    image: Image
    tag: str | None
    digest: Digest
    media_type: str
    size: int  # of the manifest and of all cached blobs that it refers to, itself or by its cached children
    cached_at: float
    confirmed_at: float | None
    last_read: float


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge took out of the index."""

    images: int
    tags: int
    manifests: int


class Index(Protocol):
    """The index. Everything here may be called by several processes on one database at once."""

    # -- manifests and tags
    async def tagged(self, image: Image, tag: str) -> TaggedManifest | None:
        """The manifest that a tag of this image is, as last confirmed."""

    async def manifest(self, image: Image, digest: Digest) -> Manifest | None:
        """A manifest that this image has: saved for it, or a child of an index that was. Another image's is not."""

    async def known(self, digest: Digest) -> Manifest | None:
        """A manifest by its digest alone, whoever has it. Its bytes may only be served once the image has it."""

    async def save(
        self, image: Image, manifest: Manifest, references: Sequence[Descriptor], tag: str | None, now: float
    ) -> None:
        """The image has this manifest (and the tag is it, confirmed now). In one transaction; again is harmless."""

    async def confirm(self, image: Image, tag: str, digest: Digest, now: float) -> bool:
        """The upstream said that the tag is still this digest. False: the tag is another one by now, nothing done."""

    async def forget(self, image: Image, tag: str) -> None:
        """The upstream has no such tag any more. Its manifest stays for whoever asks by digest."""

    # -- blobs
    async def blob_size(self, image: Image, digest: Digest) -> int | None:
        """The size of a blob that this image may serve: a manifest it has refers to it, or the upstream gave it
        for this repository (:meth:`grant_blob`). ``None``: the image has no claim to it."""

    async def grant_blob(self, image: Image, digest: Digest, size: int) -> None:
        """The upstream has this blob in this repository, though no manifest that the image has refers to it."""

    async def add_blob(self, digest: Digest, size: int, now: float) -> None:
        """The blob's bytes are in the blob store."""

    async def drop_blob(self, digest: Digest) -> None:
        """The blob's bytes are not in the blob store any more."""

    async def stored_bytes(self) -> int:
        """The size of all blobs that are in the blob store."""

    # -- reading
    async def touch(self, manifests: Collection[tuple[Image, Digest]], blobs: Collection[Digest], now: float) -> None:
        """These were read. Called in batches, never for each read."""

    # -- listings
    async def listing(self, image: Image, key: str) -> Listing | None: ...

    async def save_listing(self, image: Image, key: str, listing: Listing) -> None: ...

    # -- upstreams
    async def pause(self, upstream: str) -> Pause | None:
        """The pause last saved for this upstream, also when it is over (its strikes count until cleared)."""

    async def save_pause(self, upstream: str, pause: Pause | None) -> None:
        """``None`` clears it."""

    async def save_quota(self, quota: Quota) -> None: ...

    async def quotas(self) -> Sequence[Quota]: ...

    # -- operation
    async def generation(self) -> int:
        """A number that grows with each purge or other removal, by whatever process. What workers remember of the
        index counts only as long as it stays."""

    async def purge(self, group: str, repository: Repository | None = None, tag: str | None = None) -> Purged:
        """Forget a group, an image of it, or one tag (and its manifest where no other tag is it). One transaction.
        Bytes go with :meth:`collectable`."""

    async def entries(
        self, group: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> tuple[Sequence[Entry], int]:
        """A page of all entries and the ``after`` of the next page (0: no more), in a stable order."""

    async def drop_unreferenced_manifests(self, limit: int) -> int:
        """Remove manifests that no image has and no index of an image refers to. Returns how many (at most limit)."""

    async def collectable(self, before: float, limit: int) -> Sequence[Digest]:
        """Blobs in the store that nothing refers to and that were neither added nor read since ``before``."""

    async def blobs(self, after: str = "", limit: int = 1000) -> Sequence[tuple[Digest, int]]:
        """Blobs that should be in the store, with sizes, ordered by digest text, those after ``after``."""

    async def unknown(self, digests: Collection[Digest]) -> Collection[Digest]:
        """Those of these blobs of which the index does not know that they are in the store."""

    async def check(self) -> None:
        """:raises StorageError: the index can not be read."""

    async def close(self) -> None: ...
