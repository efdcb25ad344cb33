"""A cache as the application would furnish it: real files, a real index, and an upstream that does what a test says."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy_core.cache.blobs import Blobs
from proxy_core.cache.filling.fill import Fill
from proxy_core.cache.filling.fills import Fills
from proxy_core.cache.listings import Listings
from proxy_core.cache.manifests import Manifests
from proxy_core.cache.pauses import Pauses
from proxy_core.reference import Digest, Image
from proxy_core.storage.folder import Folder
from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.model import Index
from proxy_core.storage.index.sql import open_index
from tests.cache.filling.reading import until
from tests.cache.upstream import ScriptedUpstream

GIB = 1024**3


class Clock:
    """Seconds since the epoch, as a test lets them pass; a millisecond goes by at each look."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@dataclass(repr=False)
class Worker:
    """The cache as one worker process has it; several on one folder are beside each other as processes are."""

    manifests: Manifests
    blobs: Blobs
    listings: Listings
    fills: Fills
    pauses: Pauses
    index: Index
    read: list[tuple[Image, Digest]] = field(default_factory=list)
    filled: list[Fill] = field(default_factory=list)
    failed: list[tuple[Fill, Exception]] = field(default_factory=list)

    async def settled(self, digest: Digest) -> None:
        """Wait until the fill is over: a reader has its last bytes before the file is in the store."""
        await until(lambda: not self.fills.holds(digest))

    async def close(self) -> None:
        await self.fills.close()
        await self.manifests.close()
        await self.listings.close()
        await self.index.close()


@dataclass(repr=False)
class Place:
    """A storage folder, an upstream, and a clock; :meth:`worker` makes a cache that uses them."""

    folder: Folder
    upstream: ScriptedUpstream
    clock: Clock
    quay: ScriptedUpstream
    workers: list[Worker] = field(default_factory=list)
    max_size: int = GIB
    most_fills: int = 4

    async def worker(self) -> Worker:
        sources = {"docker.io": self.upstream, "quay.io": self.quay}
        folder = Folder(self.folder.directory)
        index = await open_index(folder.directory)
        pauses = Pauses(index, self.clock)
        read: list[tuple[Image, Digest]] = []
        filled: list[Fill] = []
        failed: list[tuple[Fill, Exception]] = []
        fills = Fills(
            folder.spool,
            folder.blobs,
            folder.room(self.max_size, 0),
            self.most_fills,
            filled=filled.append,
            failed=lambda fill, error: failed.append((fill, error)),
        )
        worker = Worker(
            Manifests(
                index,
                folder.locks,
                sources,
                pauses,
                clock=self.clock,
                read=lambda image, digest: read.append((image, digest)),
            ),
            Blobs(index, folder.blobs, fills, sources, pauses, clock=self.clock, read=lambda _: None),
            Listings(index, sources, pauses, clock=self.clock),
            fills,
            pauses,
            index,
            read,
            filled,
            failed,
        )
        self.workers.append(worker)
        return worker


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared storage folder to copy: to migrate anew for each test would take most of the time."""
    directory = tmp_path_factory.mktemp("migrated")
    Folder(directory).prepare()
    migrate(directory)
    return directory


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Folder:
    """A storage folder with an empty index."""
    shutil.copytree(migrated, tmp_path, dirs_exist_ok=True)
    return Folder(tmp_path)


@pytest.fixture
async def place(folder: Folder) -> AsyncIterator[Place]:
    place = Place(folder, ScriptedUpstream(), Clock(), ScriptedUpstream())
    yield place
    for worker in place.workers:
        await worker.close()


@pytest.fixture
async def worker(place: Place) -> Worker:
    return await place.worker()
