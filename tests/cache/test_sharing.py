"""Many ask for the same at once: the upstream is asked once, in whichever processes they are."""

import asyncio

import pytest

from proxy_core.cache.flights import Flights, hold
from proxy_core.cache.manifests import State
from proxy_core.errors import ManifestUnknown, Unavailable
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, manifest

FIRST = manifest(note="first")


async def test_all_who_wait_in_one_process_share_one_question(place: Place, worker: Worker) -> None:
    place.upstream.push(ALPINE, FIRST)
    served = await asyncio.gather(*(worker.manifests.get(ALPINE, LATEST) for _ in range(50)))
    assert {one.manifest.content for one in served} == {FIRST.content}
    assert place.upstream.asked == ["HEAD library/alpine latest", f"GET library/alpine {FIRST.digest}"]
    assert len(worker.read) == 50


async def test_all_who_wait_in_several_processes_share_one_question(place: Place) -> None:
    place.upstream.push(ALPINE, FIRST)
    place.upstream.open.clear()
    workers = [await place.worker() for _ in range(3)]
    pulls = [asyncio.create_task(worker.manifests.get(ALPINE, LATEST)) for worker in workers for _ in range(5)]
    await place.upstream.is_asked()
    place.upstream.open.set()
    served = await asyncio.gather(*pulls)
    assert {one.manifest.content for one in served} == {FIRST.content}
    assert place.upstream.asked == ["HEAD library/alpine latest", f"GET library/alpine {FIRST.digest}"]


async def test_several_processes_fetch_a_digest_once(place: Place) -> None:
    place.upstream.push(ALPINE, FIRST, tag=None)
    workers = [await place.worker() for _ in range(3)]
    served = await asyncio.gather(*(worker.manifests.get(ALPINE, FIRST.digest) for worker in workers))
    assert sorted(one.state for one in served) == [State.HIT, State.HIT, State.MISS]
    assert place.upstream.count("GET") == 1


async def test_who_comes_later_asks_anew(place: Place, worker: Worker) -> None:
    """Shared is what was asked while one waited, not what was asked before."""
    place.upstream.push(ALPINE, FIRST)
    for questions in (1, 2, 3):
        await asyncio.gather(*(worker.manifests.get(ALPINE, LATEST) for _ in range(5)))
        assert place.upstream.count("HEAD") == questions


async def test_the_question_belongs_to_nobody_who_may_leave(place: Place, worker: Worker) -> None:
    place.upstream.push(ALPINE, FIRST)
    place.upstream.open.clear()
    first = asyncio.create_task(worker.manifests.get(ALPINE, LATEST))
    await place.upstream.is_asked()
    second = asyncio.create_task(worker.manifests.get(ALPINE, LATEST))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    place.upstream.open.set()
    assert (await second).manifest.content == FIRST.content
    assert place.upstream.count("HEAD") == 1


async def test_an_error_is_shared_too(place: Place, worker: Worker) -> None:
    answers = await asyncio.gather(*(worker.manifests.get(ALPINE, LATEST) for _ in range(10)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {ManifestUnknown}
    assert place.upstream.count("HEAD") == 1


async def test_one_slow_tag_holds_up_no_other(place: Place, worker: Worker) -> None:
    place.upstream.push(ALPINE, FIRST)
    place.upstream.push(BUSYBOX, FIRST)
    place.upstream.open.clear()
    slow = asyncio.create_task(worker.manifests.get(ALPINE, LATEST))
    await place.upstream.is_asked()
    other = asyncio.create_task(worker.manifests.get(BUSYBOX, LATEST))
    await place.upstream.is_asked(2)
    place.upstream.open.set()
    await asyncio.gather(slow, other)


class TestFlights:
    async def test_each_key_is_a_call_of_its_own_and_is_called_again_when_it_has_ended(self) -> None:
        flights: Flights[str] = Flights()
        calls: list[str] = []

        def call(key: str) -> "asyncio.Future[str]":
            async def answer() -> str:
                calls.append(key)
                await asyncio.sleep(0)
                return key.upper()

            return asyncio.ensure_future(flights.join(key, answer))

        assert list(await asyncio.gather(call("a"), call("b"), call("a"))) == ["A", "B", "A"]
        assert await call("a") == "A"
        assert calls == ["a", "b", "a"]

    async def test_an_error_without_anybody_left_is_dropped_silently(self) -> None:
        flights: Flights[None] = Flights()
        failing = asyncio.Event()

        async def fail() -> None:
            await failing.wait()
            raise RuntimeError

        waiter = asyncio.create_task(flights.join("a", fail))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        failing.set()
        await asyncio.sleep(0.01)

    async def test_closing_ends_what_is_under_way(self) -> None:
        flights: Flights[bool] = Flights()
        waiter = asyncio.create_task(flights.join("a", asyncio.Event().wait))
        await asyncio.sleep(0)
        await flights.close()
        with pytest.raises(asyncio.CancelledError):
            await waiter


class TestHold:
    async def test_waits_for_who_has_the_lock(self, place: Place) -> None:
        held = await hold(place.folder.locks, "manifest x", 5)
        waiter = asyncio.create_task(hold(place.folder.locks, "manifest x", 5))
        await asyncio.sleep(0.02)
        assert not waiter.done()
        held.release()
        (await waiter).release()

    async def test_gives_up_with_a_word_about_when_to_try_again(self, place: Place) -> None:
        held = await hold(place.folder.locks, "manifest x", 5)
        with pytest.raises(Unavailable) as caught:
            await hold(place.folder.locks, "manifest x", 0.02)
        assert caught.value.headers["Retry-After"]
        held.release()
