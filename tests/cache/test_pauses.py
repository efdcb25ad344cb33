"""When an upstream is left in peace, by all workers: each is another :class:`Pauses` on the same index."""

import asyncio
from contextlib import suppress

import pytest

from proxy_core.cache.manifests import State
from proxy_core.cache.pauses import Pauses
from proxy_core.errors import TooManyRequests, Unavailable
from proxy_core.upstream import FailureKind, UpstreamFailure
from tests.cache.conftest import Clock, Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, failure, manifest

FIRST = manifest(note="first")
OUTAGE = failure(FailureKind.OUTAGE)
LIMITED = failure(FailureKind.LIMITED, status=429)


async def ask(pauses: Pauses, outcome: UpstreamFailure | None = None, upstream: str = "docker.io") -> bool:
    """Ask an upstream that answers like this. Returns whether it was asked at all."""
    asked = False
    with suppress(UpstreamFailure):
        async with pauses.asking(upstream):
            asked = True
            if outcome:
                raise outcome
    return asked


async def length(pauses: Pauses, clock: Clock, upstream: str = "docker.io") -> float:
    """Seconds that the pause still lasts."""
    try:
        async with pauses.asking(upstream):
            return 0.0
    except UpstreamFailure as paused:
        return paused.retry_after or 0.0


@pytest.fixture
async def two(place: Place) -> tuple[Pauses, Pauses]:
    """The pauses of two workers."""
    return (await place.worker()).pauses, (await place.worker()).pauses


Two = tuple[Pauses, Pauses]


class TestLimits:
    @pytest.mark.parametrize(
        ("said", "seconds"), [(None, 60), (7.0, 7), (3600.0, 3600), (0.0, 0), (48 * 3600.0, 6 * 3600)]
    )
    async def test_all_workers_wait_as_long_as_the_upstream_says(
        self, two: Two, place: Place, said: float | None, seconds: float
    ) -> None:
        assert await ask(two[0], failure(FailureKind.LIMITED, retry_after=said))
        for pauses in two:
            assert await length(pauses, place.clock) == pytest.approx(seconds, abs=0.1)
        place.clock.wait(seconds)
        assert await ask(two[1])

    async def test_they_say_what_the_upstream_said(self, two: Two, place: Place) -> None:
        await ask(two[0], failure(FailureKind.LIMITED, retry_after=100.0))
        with pytest.raises(UpstreamFailure) as caught:
            async with two[1].asking("docker.io"):
                raise AssertionError("asked during a pause")
        assert caught.value.kind is FailureKind.LIMITED
        assert caught.value.cause == LIMITED.cause
        assert caught.value.headers == LIMITED.headers
        assert "100 s" in caught.value.fix

    async def test_who_asked_at_the_same_time_and_got_an_answer_does_not_end_it(self, two: Two, place: Place) -> None:
        async with two[0].asking("docker.io"):
            await ask(two[1], failure(FailureKind.LIMITED, retry_after=100.0))
        assert await length(two[0], place.clock) == pytest.approx(100, abs=0.1)

    async def test_an_outage_at_the_same_time_does_not_shorten_it(self, two: Two, place: Place) -> None:
        with suppress(UpstreamFailure):
            async with two[0].asking("docker.io"):
                await ask(two[1], failure(FailureKind.LIMITED, retry_after=100.0))
                raise OUTAGE
        assert await length(two[0], place.clock) == pytest.approx(100, abs=0.1)

    async def test_a_shorter_limit_at_the_same_time_does_not_shorten_it(self, two: Two, place: Place) -> None:
        with suppress(UpstreamFailure):
            async with two[0].asking("docker.io"):
                await ask(two[1], failure(FailureKind.LIMITED, retry_after=100.0))
                raise failure(FailureKind.LIMITED, retry_after=5.0)
        assert await length(two[0], place.clock) == pytest.approx(100, abs=0.1)


class TestOutages:
    async def test_pauses_grow_whichever_worker_asks_up_to_a_bound(self, two: Two, place: Place) -> None:
        lengths = []
        for number in range(8):
            assert await ask(two[number % 2], OUTAGE)
            lengths.append(await length(two[0], place.clock))
            place.clock.wait(lengths[-1])
        assert lengths == pytest.approx([0.5, 1, 2, 4, 8, 15, 15, 15], abs=0.1)

    async def test_a_night_of_outage_is_no_trouble(self, two: Two, place: Place) -> None:
        for _ in range(1200):
            assert await ask(two[0], OUTAGE)
            place.clock.wait(15)
        await ask(two[0], OUTAGE)
        assert await length(two[1], place.clock) == pytest.approx(15, abs=0.1)

    async def test_the_first_answer_ends_that(self, two: Two, place: Place) -> None:
        for _ in range(3):
            await ask(two[0], OUTAGE)
            place.clock.wait(15)
        assert await ask(two[1])
        await ask(two[0], OUTAGE)
        assert await length(two[0], place.clock) == pytest.approx(0.5, abs=0.1)

    @pytest.mark.parametrize("kind", [FailureKind.NOT_FOUND, FailureKind.ACCOUNT, FailureKind.INVALID])
    async def test_an_answer_that_says_no_is_an_answer(self, two: Two, place: Place, kind: FailureKind) -> None:
        for _ in range(3):
            await ask(two[0], OUTAGE)
            place.clock.wait(15)
        await ask(two[1], failure(kind))
        assert await length(two[0], place.clock) == 0
        await ask(two[0], OUTAGE)
        assert await length(two[0], place.clock) == pytest.approx(0.5, abs=0.1)

    async def test_many_that_fail_together_failed_once(self, two: Two, place: Place) -> None:
        failing = asyncio.Event()

        async def fail(pauses: Pauses) -> None:
            async with pauses.asking("docker.io"):
                await failing.wait()
                raise OUTAGE

        tasks = [asyncio.create_task(fail(pauses)) for pauses in two for _ in range(10)]
        await asyncio.sleep(0.1)
        failing.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        place.clock.wait(0.5 - 0.1)
        assert await length(two[0], place.clock) < 0.5


async def test_the_pause_of_one_upstream_is_none_of_anothers(two: Two, place: Place) -> None:
    await ask(two[0], LIMITED)
    assert await ask(two[0], upstream="quay.io")
    assert await ask(two[1], upstream="docker.io blobs")


class TestPulls:
    async def test_a_pull_during_a_pause_asks_nothing_and_is_told_how_long(self, place: Place) -> None:
        one, other = await place.worker(), await place.worker()
        place.upstream.trouble = failure(FailureKind.LIMITED, status=429, retry_after=90.0)
        for worker in (one, other, other):
            with pytest.raises(TooManyRequests) as caught:
                await worker.manifests.get(ALPINE, LATEST)
            assert int(caught.value.headers["Retry-After"]) in (89, 90)
            assert caught.value.headers["RateLimit-Remaining"] == "0;w=21600"
        assert len(place.upstream.asked) == 1
        place.clock.wait(91)
        place.upstream.trouble = None
        place.upstream.push(ALPINE, FIRST)
        assert (await other.manifests.get(ALPINE, LATEST)).state is State.MISS

    async def test_what_is_here_is_served_during_a_pause(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = OUTAGE
        with pytest.raises(Unavailable):
            await worker.manifests.get(BUSYBOX, LATEST)
        asked = len(place.upstream.asked)
        assert (await worker.manifests.get(ALPINE, LATEST)).state is State.STALE
        assert (await worker.manifests.get(ALPINE, FIRST.digest)).state is State.HIT
        assert len(place.upstream.asked) == asked

    async def test_another_upstream_is_pulled_from_during_a_pause(self, place: Place, worker: Worker) -> None:
        place.upstream.trouble = LIMITED
        with pytest.raises(TooManyRequests):
            await worker.manifests.get(ALPINE, LATEST)
        image = type(ALPINE)(ALPINE.group, type(ALPINE.repository)("quay.io", "org/app"))
        place.quay.push(image, FIRST)
        assert (await worker.manifests.get(image, LATEST)).state is State.MISS
