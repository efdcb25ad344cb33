"""Lists of tags and referrers: kept for a minute, served stale when the upstream is away."""

import asyncio
import json
from dataclasses import replace

import pytest

from proxy_core.cache.listings import KEPT_FOR
from proxy_core.cache.manifests import State
from proxy_core.errors import NameUnknown, TooManyRequests, Unavailable
from proxy_core.upstream import FailureKind
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, OTHER_ALPINE, failure, manifest

FIRST = manifest(note="first")


@pytest.fixture(autouse=True)
def pushed(place: Place) -> None:
    for tag in ("latest", "3.20", "Z", "edge"):
        place.upstream.push(ALPINE, FIRST, tag)


async def test_tags_come_sorted_by_byte(worker: Worker) -> None:
    listed = await worker.listings.tags(ALPINE)
    assert json.loads(listed.content) == ["3.20", "Z", "edge", "latest"]
    assert listed.state is State.MISS


async def test_within_a_minute_nobody_is_asked_by_any_worker(place: Place) -> None:
    one, other = await place.worker(), await place.worker()
    first = await one.listings.tags(ALPINE)
    place.clock.wait(KEPT_FOR - 1)
    for worker in (one, other):
        listed = await worker.listings.tags(ALPINE)
        assert (listed.state, listed.fetched_at) == (State.HIT, first.fetched_at)
    assert place.upstream.count("TAGS") == 1
    place.clock.wait(1)
    assert (await other.listings.tags(ALPINE)).state is State.MISS


async def test_all_who_wait_share_one_question(place: Place, worker: Worker) -> None:
    await asyncio.gather(*(worker.listings.tags(ALPINE) for _ in range(20)))
    assert place.upstream.count("TAGS") == 1


async def test_referrers_are_kept_by_digest(place: Place, worker: Worker) -> None:
    other = manifest(note="other").digest
    for digest in (FIRST.digest, FIRST.digest, other):
        listed = await worker.listings.referrers(ALPINE, digest)
        assert json.loads(listed.content)["manifests"] == []
    assert place.upstream.count("REFERRERS") == 2


async def test_each_group_asks_for_itself(place: Place, worker: Worker) -> None:
    """The upstream's word is needed for each: rights are not shared."""
    await worker.listings.tags(ALPINE)
    assert (await worker.listings.tags(OTHER_ALPINE)).state is State.MISS


@pytest.mark.parametrize("kind", [FailureKind.OUTAGE, FailureKind.LIMITED, FailureKind.ACCOUNT, FailureKind.INVALID])
async def test_the_copy_is_served_while_the_upstream_fails_up_to_max_stale(
    place: Place, worker: Worker, kind: FailureKind
) -> None:
    place.upstream.settings = replace(place.upstream.settings, max_stale=1000.0)
    first = await worker.listings.tags(ALPINE)
    place.upstream.trouble = failure(kind)
    place.clock.wait(900)
    listed = await worker.listings.tags(ALPINE)
    assert (listed.state, listed.content, listed.fetched_at) == (State.STALE, first.content, first.fetched_at)
    assert listed.trouble is not None
    assert listed.trouble.kind == kind
    place.clock.wait(101)
    with pytest.raises(Exception, match=r"docker\.io"):
        await worker.listings.tags(ALPINE)


async def test_a_repository_that_is_not_there_is_said_and_no_copy_served(place: Place, worker: Worker) -> None:
    await worker.listings.tags(ALPINE)
    place.upstream.named.clear()
    place.clock.wait(KEPT_FOR)
    with pytest.raises(NameUnknown, match="no repository library/alpine"):
        await worker.listings.tags(ALPINE)


async def test_what_is_not_there_is_not_asked_for_again_for_30_seconds(place: Place, worker: Worker) -> None:
    for _ in range(5):
        with pytest.raises(NameUnknown):
            await worker.listings.tags(BUSYBOX)
    assert place.upstream.count("TAGS") == 1
    place.upstream.push(BUSYBOX, FIRST)
    place.clock.wait(31)
    assert (await worker.listings.tags(BUSYBOX)).state is State.MISS


@pytest.mark.parametrize(("kind", "error"), [(FailureKind.OUTAGE, Unavailable), (FailureKind.LIMITED, TooManyRequests)])
async def test_without_a_copy_the_cause_is_told(
    place: Place, worker: Worker, kind: FailureKind, error: type[Exception]
) -> None:
    place.upstream.trouble = failure(kind)
    with pytest.raises(error):
        await worker.listings.tags(ALPINE)
