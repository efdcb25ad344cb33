"""What is done now and then: reads are noted in batches, quotas kept, purges noticed; and no chore stops another."""

import asyncio
from collections.abc import Sequence

import pytest

from proxy_core.cache.housekeeping import Chore, PurgeWatch, keep_house
from proxy_core.cache.manifests import State
from proxy_core.cache.quotas import Quotas
from proxy_core.cache.reads import Reads
from proxy_core.upstream import QuotaReading
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, manifest

FIRST = manifest(note="first")


class TestReads:
    async def test_what_was_read_is_known_after_the_next_batch(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        reads = Reads(worker.index, place.clock)
        place.clock.wait(1000)
        for _ in range(100):
            reads.manifest(ALPINE, FIRST.digest)
        ((before,), _) = await worker.index.entries()
        await reads.flush()
        ((after,), _) = await worker.index.entries()
        assert after.last_read - before.last_read == pytest.approx(1000, abs=1)

    async def test_a_blob_that_is_read_is_not_collected_for_a_while(self, place: Place, worker: Worker) -> None:
        await worker.index.add_blob(FIRST.digest, 5, place.clock())
        added = place.clock()
        reads = Reads(worker.index, place.clock)
        place.clock.wait(1000)
        reads.blob(FIRST.digest)
        await reads.flush()
        assert list(await worker.index.collectable(added + 500, 10)) == []
        assert list(await worker.index.collectable(added + 2000, 10)) == [FIRST.digest]

    async def test_what_is_gone_is_passed_over(self, place: Place, worker: Worker) -> None:
        reads = Reads(worker.index, place.clock)
        reads.manifest(BUSYBOX, FIRST.digest)
        reads.blob(FIRST.digest)
        await reads.flush()
        await reads.flush()


class Readings:
    """Quota readings since the last time."""

    def __init__(self, *readings: tuple[str, str, QuotaReading]) -> None:
        self.waiting = list(readings)

    def take(self) -> Sequence[tuple[str, str, QuotaReading]]:
        taken, self.waiting = self.waiting, []
        return taken


async def test_the_last_reading_of_each_quota_is_known_to_every_worker(place: Place) -> None:
    one, other = await place.worker(), await place.worker()
    readings = Readings(
        ("docker.io", "anonymous", QuotaReading(100, 76, 21600, "192.0.2.7")),
        ("docker.io", "robot", QuotaReading(200, 200)),
    )
    await Quotas(one.index, readings, place.clock).flush()
    readings.waiting = [("docker.io", "anonymous", QuotaReading(100, 75, 21600, "192.0.2.7"))]
    await Quotas(one.index, readings, place.clock).flush()
    known = await Quotas(other.index, Readings(), place.clock).all()
    assert [(one.account, one.limit, one.remaining, one.window, one.source) for one in known] == [
        ("anonymous", 100, 75, 21600.0, "192.0.2.7"),
        ("robot", 200, 200, 0.0, ""),
    ]


class TestPurges:
    async def test_what_another_process_purges_is_forgotten_at_the_next_look(self, place: Place) -> None:
        one, other = await place.worker(), await place.worker()
        place.upstream.push(ALPINE, FIRST)
        await one.manifests.get(ALPINE, LATEST)
        watch = PurgeWatch(one.index, [one.manifests.forget, one.blobs.forget])
        await watch.look()
        await other.index.purge(ALPINE.group)
        assert (await one.manifests.get(ALPINE, FIRST.digest)).state is State.HIT
        await watch.look()
        assert (await one.manifests.get(ALPINE, FIRST.digest)).state is State.MISS

    async def test_nothing_is_forgotten_without_a_purge(self, place: Place, worker: Worker) -> None:
        forgotten: list[bool] = []
        watch = PurgeWatch(worker.index, [lambda: forgotten.append(True)])
        place.upstream.push(ALPINE, FIRST)
        for _ in range(3):
            await worker.manifests.get(ALPINE, LATEST)
            await watch.look()
        assert not forgotten
        await worker.index.purge("nobody")
        await watch.look()
        await watch.look()
        assert forgotten == [True]


async def test_a_chore_that_fails_is_reported_and_stops_neither_itself_nor_another() -> None:
    done: list[str] = []
    failed: list[tuple[str, Exception]] = []
    enough = asyncio.Event()

    async def break_down() -> None:
        raise RuntimeError("broken")

    async def work() -> None:
        done.append("work")
        if len(done) == 3:
            enough.set()

    chores = [Chore("break", 0.001, break_down), Chore("work", 0.01, work)]
    house = asyncio.create_task(keep_house(chores, lambda name, error: failed.append((name, error))))
    async with asyncio.timeout(30):
        await enough.wait()
    house.cancel()
    with pytest.raises(asyncio.CancelledError):
        await house
    assert len(failed) > 1
    assert {(name, str(error)) for name, error in failed} == {("break", "broken")}
