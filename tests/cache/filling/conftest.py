"""A blob to fill, and short waits between attempts."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy_core.cache.filling import leader
from proxy_core.cache.filling.readers import BlobReader
from proxy_core.cache.filling.source import Order
from proxy_core.reference import Digest
from tests.cache.conftest import GIB, Place, Worker
from tests.cache.stream import Act, Script
from tests.cache.upstream import ALPINE, digest_of
from tests.rig.images import noise

MIB = 1024 * 1024
CONTENT = noise(3 * MIB).data
HELD_BACK = 64 * 1024


@dataclass(repr=False)
class Blob:
    """A blob of alpine at the upstream."""

    place: Place
    content: bytes = CONTENT

    @property
    def digest(self) -> Digest:
        return digest_of(self.content)

    @property
    def asked(self) -> list[int]:
        """From which byte on the upstream was asked, each time."""
        return [int(question.split()[-1]) for question in self.place.upstream.asked if question.startswith("BLOB ")]

    def plays(self, *acts: Act) -> None:
        self.place.upstream.script = Script(*acts)

    async def open(
        self, worker: Worker, *, size: int | None = None, max_size: int = GIB, stall: float = 30.0
    ) -> BlobReader | None:
        order = Order(self.digest, ALPINE.repository.path, size)
        return await worker.fills.open(order, self.place.upstream, max_size=max_size, stall=stall)

    async def reader(self, worker: Worker, *, stall: float = 30.0) -> BlobReader:
        reader = await self.open(worker, stall=stall)
        assert reader is not None
        return reader

    async def stored(self, worker: Worker) -> bytes | None:
        """What is in the store when the fill is over."""
        await worker.settled(self.digest)
        blob = await self.place.folder.blobs.open(self.digest)
        if blob is None:
            return None
        try:
            return await blob.read(0, blob.size)
        finally:
            blob.close()

    def partial(self) -> int | None:
        """How many bytes wait for whoever goes on."""
        path = self.place.folder.spool.path(self.digest)
        return path.stat().st_size if path.exists() else None


@pytest.fixture
def blob(place: Place) -> Blob:
    place.upstream.push_blob(ALPINE, CONTENT)
    return Blob(place)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The event loop has nothing to complain about: no error without a reader, no task that was left behind."""
    yield
    gc.collect(1)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "_BACKOFF", 0.01)
