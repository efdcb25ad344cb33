"""What an operator does to the cache while it serves: every blob verified, and what nobody needs removed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy_core.cache import upkeep
from proxy_core.cache.manifests import State
from proxy_core.cache.upkeep import Finding
from proxy_core.reference import Digest
from tests.cache.conftest import Place, Worker
from tests.cache.filling.reading import PATIENCE, read_all
from tests.cache.stream import Act, Gate, Script
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, digest_of, manifest

LAYER, OTHER = b"layer " * 30_000, b"other " * 30_000
DIGEST = digest_of(LAYER)


async def all_of(findings: AsyncIterator[Finding]) -> dict[Digest, str]:
    return {finding.digest: finding.what async for finding in findings}


class Upkeep:
    """The commands of an operator, beside the workers."""

    def __init__(self, worker: Worker, place: Place) -> None:
        self._worker, self._place = worker, place

    async def verify(self) -> dict[Digest, str]:
        return await all_of(upkeep.verify(self._place.folder, self._worker.index))

    async def collect(self) -> dict[Digest, str]:
        return await all_of(upkeep.collect(self._place.folder, self._worker.index))


@pytest.fixture
async def operator(place: Place) -> Upkeep:
    return Upkeep(await place.worker(), place)


@pytest.fixture
async def pulled(place: Place, worker: Worker) -> Worker:
    """A worker that has an image with one layer; and the index knows of it."""
    place.upstream.push_blob(ALPINE, LAYER)
    place.upstream.push(ALPINE, manifest(LAYER))
    await worker.manifests.get(ALPINE, LATEST)
    await pull(worker)
    return worker


async def pull(worker: Worker, digest: Digest = DIGEST) -> State:
    blob = await worker.blobs.open(ALPINE, digest)
    assert digest_of(await read_all(blob.reader)) == digest
    await worker.settled(digest)
    for fill in worker.filled:
        await worker.index.add_blob(fill.digest, fill.size, 1.0)
    return blob.state


async def keep(place: Place, content: bytes, *, known: Worker | None = None) -> Digest:
    """A blob in the store that no manifest refers to; the index of a worker may know of it."""
    digest = digest_of(content)
    draft = Path(place.folder.directory) / f"draft-{digest.hex}"
    draft.write_bytes(content)
    await place.folder.blobs.adopt(digest, draft)
    if known:
        await known.index.add_blob(digest, len(content), 1.0)
    return digest


class TestVerify:
    async def test_finds_nothing_where_nothing_is_wrong(self, operator: Upkeep, pulled: Worker) -> None:
        assert await operator.verify() == {}
        assert await pull(pulled) is State.HIT

    async def test_removes_what_is_damaged_so_that_it_is_fetched_anew(
        self, operator: Upkeep, place: Place, pulled: Worker
    ) -> None:
        with place.folder.blobs.path(DIGEST).open("r+b") as file:
            file.write(b"L")
        assert await operator.verify() == {DIGEST: "damaged, removed"}
        assert await pulled.index.stored_bytes() == 0
        assert await pull(pulled) is State.MISS
        assert await operator.verify() == {}

    async def test_makes_the_index_know_what_is_there(self, operator: Upkeep, place: Place, worker: Worker) -> None:
        digest = await keep(place, OTHER)
        assert await operator.verify() == {digest: "was not in the index, added"}
        assert list(await worker.index.blobs()) == [(digest, len(OTHER))]

    async def test_makes_the_index_forget_what_is_not(self, operator: Upkeep, place: Place, pulled: Worker) -> None:
        place.folder.blobs.path(DIGEST).unlink()
        assert await operator.verify() == {DIGEST: "was in the index without a file, forgotten"}
        assert await pulled.index.stored_bytes() == 0

    async def test_looks_at_every_blob_however_many(
        self, operator: Upkeep, place: Place, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "_PAGE", 7)
        expected = {}
        for number in range(10):
            expected[await keep(place, b"new %d" % number)] = "was not in the index, added"
            damaged = await keep(place, b"bad %d" % number, known=worker)
            place.folder.blobs.path(damaged).write_bytes(b"")
            expected[damaged] = "damaged, removed"
            lost = await keep(place, b"lost %d" % number, known=worker)
            place.folder.blobs.path(lost).unlink()
            expected[lost] = "was in the index without a file, forgotten"
        assert await operator.verify() == expected
        assert await operator.verify() == {}


class TestCollect:
    async def test_keeps_what_a_manifest_refers_to(self, operator: Upkeep, pulled: Worker) -> None:
        assert await operator.collect() == {}
        assert await pull(pulled) is State.HIT

    async def test_removes_what_nothing_refers_to_known_or_not(
        self, operator: Upkeep, place: Place, pulled: Worker
    ) -> None:
        known, unknown = await keep(place, b"known", known=pulled), await keep(place, b"unknown")
        removed = "nothing refers to it, removed"
        assert await operator.collect() == {known: removed, unknown: removed}
        assert await place.folder.blobs.open(known) is None
        assert await pulled.index.stored_bytes() == len(LAYER)

    async def test_removes_what_a_purge_left(self, operator: Upkeep, place: Place, pulled: Worker) -> None:
        await pulled.index.purge(ALPINE.group)
        assert set(await operator.collect()) == {DIGEST}
        pulled.blobs.forget()
        pulled.manifests.forget()
        assert (await pulled.manifests.get(ALPINE, LATEST)).state is State.MISS
        assert await pull(pulled) is State.MISS

    async def test_keeps_what_was_granted_without_a_manifest(
        self, operator: Upkeep, place: Place, worker: Worker
    ) -> None:
        place.upstream.push_blob(ALPINE, LAYER)
        await pull(worker)
        assert await operator.collect() == {}

    async def test_keeps_what_another_image_refers_to(self, operator: Upkeep, place: Place, pulled: Worker) -> None:
        place.upstream.push(BUSYBOX, manifest(LAYER, note="busybox"))
        await pulled.manifests.get(BUSYBOX, LATEST)
        await pulled.index.purge(ALPINE.group, ALPINE.repository)
        assert await operator.collect() == {}
        await pulled.index.purge(BUSYBOX.group, BUSYBOX.repository)
        assert set(await operator.collect()) == {DIGEST}

    async def test_keeps_what_is_being_read(self, operator: Upkeep, place: Place, pulled: Worker) -> None:
        blob = await pulled.blobs.open(ALPINE, DIGEST)
        await pulled.index.purge(ALPINE.group)
        assert await operator.collect() == {}
        assert await read_all(blob.reader) == LAYER
        assert set(await operator.collect()) == {DIGEST}

    async def test_keeps_what_is_being_filled(self, operator: Upkeep, place: Place, worker: Worker) -> None:
        place.upstream.push_blob(ALPINE, LAYER)
        gate = Gate()
        place.upstream.script = Script(Act(gates={64 * 1024: gate}))
        opening = asyncio.create_task(worker.blobs.open(ALPINE, DIGEST))
        await asyncio.to_thread(gate.reached.wait, PATIENCE)
        await worker.index.purge(ALPINE.group)
        assert await operator.collect() == {}
        gate.open()
        assert await read_all((await opening).reader) == LAYER
        await worker.settled(DIGEST)
        assert set(await operator.collect()) == {DIGEST}

    async def test_removes_every_one_however_many(
        self, operator: Upkeep, place: Place, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "_PAGE", 7)
        digests = {await keep(place, b"%d" % number, known=worker) for number in range(30)}
        reading = [await place.folder.blobs.open(digest) for digest in sorted(digests, key=str)[:10]]
        assert len(await operator.collect()) == 20
        for blob in reading:
            assert blob is not None
            blob.close()
        assert len(await operator.collect()) == 10
        assert [digest async for digest, _, _ in place.folder.blobs.digests()] == []

    async def test_removes_partials_that_nobody_can_go_on_with(self, operator: Upkeep, place: Place) -> None:
        place.folder.spool.create(DIGEST, 5).close()
        place.folder.spool.path(DIGEST).with_suffix(".json").unlink()
        await operator.collect()
        assert not place.folder.spool.path(DIGEST).exists()
