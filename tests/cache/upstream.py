"""An upstream in this process that does what a test says, and remembers what it was asked."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from proxy_core.reference import Digest, Image, Reference, Repository, Tag
from proxy_core.settings import Upstream
from proxy_core.upstream import FailureKind, FetchedManifest, ManifestHead, UpstreamFailure
from tests.cache.stream import PATIENCE, Script, ScriptedStream

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"

ALPINE = Image("my-group", Repository("docker.io", "library/alpine"))
BUSYBOX = Image("my-group", Repository("docker.io", "library/busybox"))
OTHER_ALPINE = Image("other-group", ALPINE.repository)
LATEST = Tag("latest")
HUB = Upstream("docker.io", "https://registry-1.docker.io")


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    return Digest(algorithm, hashlib.new(algorithm, content).hexdigest())


def fetched(content: bytes, media_type: str = MANIFEST_TYPE) -> FetchedManifest:
    return FetchedManifest(digest_of(content), media_type, content)


def manifest(*blobs: bytes, note: str = "") -> FetchedManifest:
    """The manifest of an image with these layers; another note makes another manifest."""
    layers = [{"mediaType": "x", "digest": str(digest_of(blob)), "size": len(blob)} for blob in blobs]
    return fetched(json.dumps({"schemaVersion": 2, "note": note, "layers": layers}).encode())


def index(*children: FetchedManifest) -> FetchedManifest:
    """An index over these manifests, the first for linux/amd64."""
    entries = [
        {
            "mediaType": child.media_type,
            "digest": str(child.digest),
            "size": len(child.content),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for child, architecture in zip(children, ("amd64", "arm64", "s390x"), strict=False)
    ]
    return fetched(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), INDEX_TYPE)


def failure(kind: FailureKind, *, status: int | None = None, retry_after: float | None = None) -> UpstreamFailure:
    return UpstreamFailure(
        kind,
        f"test_{kind}",
        f"docker.io: {kind} of a test.",
        "Wait.",
        status=status,
        retry_after=retry_after,
        headers={"RateLimit-Remaining": "0;w=21600"} if kind is FailureKind.LIMITED else None,
    )


@dataclass(repr=False)
class ScriptedUpstream:
    """Repositories by path. While :attr:`trouble` is set, every question fails with it; while :attr:`open` is not, none
    is answered."""

    settings: Upstream = HUB
    manifests: dict[tuple[str, Digest], FetchedManifest] = field(default_factory=dict)
    named: dict[tuple[str, str], Digest] = field(default_factory=dict)
    referring: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    blobs: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    streams: int = 0  # of blobs, that are open now
    trouble: UpstreamFailure | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    answers_head: bool = True
    tells_digest: bool = True
    tells_size: bool = True
    meanwhile: Callable[[str], None] = lambda _: None  # what happens when a question has come
    script: Script = field(default_factory=Script)

    _question: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    def push(self, image: Image, what: FetchedManifest, tag: str | None = "latest") -> Digest:
        path = image.repository.path
        self.manifests[path, what.digest] = what
        if tag:
            self.named[path, tag] = what.digest
        return what.digest

    def push_blob(self, image: Image, content: bytes) -> Digest:
        digest = digest_of(content)
        self.blobs[image.repository.path, digest] = content
        return digest

    def count(self, method: str) -> int:
        """How often it was asked in this way: ``HEAD``, ``GET``, ``TAGS``, ``BLOB`` ..."""
        return sum(question.partition(" ")[0] == method for question in self.asked)

    async def is_asked(self, times: int = 1) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(PATIENCE):
            while len(self.asked) < times:
                self._question.clear()
                await self._question.wait()

    # -- what the cache asks

    async def head_manifest(self, path: str, reference: Reference) -> ManifestHead:
        await self._be_asked(f"HEAD {path} {reference}")
        if not self.answers_head:
            raise failure(FailureKind.INVALID, status=405)
        found = self._find(path, reference)
        return ManifestHead(found.digest if self.tells_digest else None, found.media_type, len(found.content))

    async def get_manifest(self, path: str, reference: Reference) -> FetchedManifest:
        await self._be_asked(f"GET {path} {reference}")
        return self._find(path, reference)

    async def tags(self, path: str) -> list[str]:
        await self._be_asked(f"TAGS {path}")
        tags = sorted(tag for known, tag in self.named if known == path)
        if not tags:
            raise failure(FailureKind.NOT_FOUND, status=404)
        return tags

    async def referrers(self, path: str, digest: Digest) -> bytes:
        await self._be_asked(f"REFERRERS {path} {digest}")
        return self.referring.get((path, digest), index().content)

    async def head_blob(self, path: str, digest: Digest) -> int | None:
        await self._be_asked(f"BLOBHEAD {path} {digest}")
        if (path, digest) not in self.blobs:
            raise failure(FailureKind.NOT_FOUND, status=404)
        return len(self.blobs[path, digest]) if self.tells_size else None

    @contextmanager
    def open_blob(self, path: str, digest: Digest, offset: int = 0) -> Iterator[ScriptedStream]:
        """Called in the thread of a fill."""
        self.asked.append(f"BLOB {path} {digest} {offset}")
        if self.trouble:
            raise self.trouble
        if (path, digest) not in self.blobs:
            raise failure(FailureKind.NOT_FOUND, status=404)
        stream = self.script.answer(self.blobs[path, digest], offset, tells_size=self.tells_size)
        self.streams += 1
        try:
            yield stream
        finally:
            self.streams -= 1

    async def _be_asked(self, question: str) -> None:
        self.asked.append(question)
        self._question.set()
        self.meanwhile(question)
        await self.open.wait()
        if self.trouble:
            raise self.trouble

    def _find(self, path: str, reference: Reference) -> FetchedManifest:
        digest = reference if isinstance(reference, Digest) else self.named.get((path, reference.name))
        found = self.manifests.get((path, digest)) if digest else None
        if found is None:
            raise failure(FailureKind.NOT_FOUND, status=404)
        return found
