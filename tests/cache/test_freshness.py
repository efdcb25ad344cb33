"""How fresh a manifest is, and what that costs: a digest is right for ever, a tag as long as the operator says."""

import asyncio
from dataclasses import replace

import pytest

from proxy_core.cache.manifests import State
from proxy_core.errors import ManifestUnknown
from proxy_core.upstream import FailureKind
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, OTHER_ALPINE, failure, index, manifest

FIRST, SECOND = manifest(note="first"), manifest(note="second")


def stays_fresh(place: Place, seconds: float) -> None:
    place.upstream.settings = replace(place.upstream.settings, freshness=seconds)


class TestTags:
    async def test_the_first_pull_costs_a_head_and_a_get(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        served = await worker.manifests.get(ALPINE, LATEST)
        assert served.state is State.MISS
        assert served.manifest.content == FIRST.content
        assert served.manifest.media_type == FIRST.media_type
        assert place.upstream.asked == ["HEAD library/alpine latest", f"GET library/alpine {FIRST.digest}"]
        assert worker.read == [(ALPINE, FIRST.digest)]

    async def test_360_pulls_of_an_unchanged_tag_cost_one_get(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        states = [(await worker.manifests.get(ALPINE, LATEST)).state for _ in range(360)]
        assert states == [State.MISS] + 359 * [State.REVALIDATED]
        assert (place.upstream.count("HEAD"), place.upstream.count("GET")) == (360, 1)

    async def test_a_changed_tag_costs_one_more_get_and_the_old_digest_stays(
        self, place: Place, worker: Worker
    ) -> None:
        for pushed in (FIRST, SECOND):
            place.upstream.push(ALPINE, pushed)
            for _ in range(2):
                served = await worker.manifests.get(ALPINE, LATEST)
                assert served.manifest.content == pushed.content
        assert place.upstream.count("GET") == 2
        old = await worker.manifests.get(ALPINE, FIRST.digest)
        assert (old.state, old.manifest.content) == (State.HIT, FIRST.content)

    async def test_a_tag_that_goes_back_to_what_is_here_costs_no_get(self, place: Place, worker: Worker) -> None:
        for pushed in (FIRST, SECOND, FIRST):
            place.upstream.push(ALPINE, pushed)
            served = await worker.manifests.get(ALPINE, LATEST)
        assert served.manifest.content == FIRST.content
        assert place.upstream.count("GET") == 2

    async def test_within_its_freshness_nobody_is_asked(self, place: Place) -> None:
        stays_fresh(place, 60)
        place.upstream.push(ALPINE, FIRST)
        one, other = await place.worker(), await place.worker()
        first = await one.manifests.get(ALPINE, LATEST)
        place.upstream.push(ALPINE, SECOND)
        asked = len(place.upstream.asked)
        place.clock.wait(50)
        for worker in (one, other, one, other):
            served = await worker.manifests.get(ALPINE, LATEST)
            assert served.state is State.HIT
            assert served.manifest.content == FIRST.content
            assert served.confirmed_at == pytest.approx(first.confirmed_at, abs=0.1)
            assert served.fresh_until == pytest.approx(first.confirmed_at + 60 if first.confirmed_at else None, abs=0.1)
        assert len(place.upstream.asked) == asked
        place.clock.wait(11)
        for worker in (one, other):
            assert (await worker.manifests.get(ALPINE, LATEST)).manifest.content == SECOND.content
        assert place.upstream.count("HEAD") == 2

    async def test_an_upstream_that_answers_no_head_is_asked_with_get(self, place: Place, worker: Worker) -> None:
        place.upstream.answers_head = False
        place.upstream.push(ALPINE, FIRST)
        assert (await worker.manifests.get(ALPINE, LATEST)).manifest.content == FIRST.content
        place.upstream.push(ALPINE, SECOND)
        assert (await worker.manifests.get(ALPINE, LATEST)).manifest.content == SECOND.content
        assert place.upstream.count("GET") == 2

    async def test_an_upstream_that_tells_no_digest_is_asked_with_get(self, place: Place, worker: Worker) -> None:
        place.upstream.tells_digest = False
        place.upstream.push(ALPINE, FIRST)
        for _ in range(2):
            assert (await worker.manifests.get(ALPINE, LATEST)).manifest.content == FIRST.content
        assert place.upstream.asked[1] == "GET library/alpine latest"

    async def test_a_digest_announced_and_not_there_is_asked_for_by_its_tag(self, place: Place, worker: Worker) -> None:
        """The tag moved between the two questions, and the registry keeps no untagged manifests."""
        place.upstream.push(ALPINE, FIRST)

        def move(question: str) -> None:
            if question.startswith("GET"):
                place.upstream.manifests.clear()
                place.upstream.push(ALPINE, SECOND)

        place.upstream.meanwhile = move
        assert (await worker.manifests.get(ALPINE, LATEST)).manifest.content == SECOND.content

    async def test_what_was_purged_while_the_upstream_was_asked_is_kept_anew(
        self, place: Place, worker: Worker
    ) -> None:
        """What a client was given is in the index, or a later pull of its blobs would find no claim to them."""
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.asked.clear()
        place.upstream.open.clear()
        pull = asyncio.create_task(worker.manifests.get(ALPINE, LATEST))
        await place.upstream.is_asked()
        await worker.index.purge(ALPINE.group)
        place.upstream.open.set()
        assert (await pull).state is State.REVALIDATED
        assert await worker.index.manifest(ALPINE, FIRST.digest) is not None
        assert await worker.index.tagged(ALPINE, "latest") is not None


class TestDigests:
    async def test_one_that_is_here_never_asks_in_any_worker_or_state_of_the_upstream(self, place: Place) -> None:
        place.upstream.push(ALPINE, FIRST)
        await (await place.worker()).manifests.get(ALPINE, LATEST)
        asked = len(place.upstream.asked)
        place.upstream.trouble = failure(FailureKind.OUTAGE)
        place.clock.wait(400 * 24 * 3600)
        for worker in (place.workers[0], await place.worker()):
            for _ in range(3):
                served = await worker.manifests.get(ALPINE, FIRST.digest)
                assert (served.state, served.manifest.content) == (State.HIT, FIRST.content)
                assert (served.confirmed_at, served.fresh_until) == (None, None)
        assert len(place.upstream.asked) == asked

    async def test_one_that_is_not_here_costs_one_get(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST, tag=None)
        assert (await worker.manifests.get(ALPINE, FIRST.digest)).state is State.MISS
        assert place.upstream.asked == [f"GET library/alpine {FIRST.digest}"]

    async def test_children_of_an_index_are_fetched_when_asked_for_and_not_before(
        self, place: Place, worker: Worker
    ) -> None:
        top = index(FIRST, SECOND)
        for pushed in (FIRST, SECOND, top):
            place.upstream.push(ALPINE, pushed)
        await worker.manifests.get(ALPINE, LATEST)
        assert place.upstream.count("GET") == 1
        assert (await worker.manifests.get(ALPINE, SECOND.digest)).manifest.content == SECOND.content
        assert place.upstream.count("GET") == 2
        assert await worker.index.known(FIRST.digest) is None


class TestOtherGroups:
    """Bytes are shared between groups, rights are not: the upstream must say that it would give them here, too."""

    async def test_a_digest_that_another_group_has_costs_a_head_and_no_get(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.asked.clear()
        for _ in range(2):
            assert (await worker.manifests.get(OTHER_ALPINE, FIRST.digest)).manifest.content == FIRST.content
        assert place.upstream.asked == [f"HEAD library/alpine {FIRST.digest}"]

    async def test_a_tag_that_another_group_has_costs_a_head_and_no_get(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        served = await worker.manifests.get(OTHER_ALPINE, LATEST)
        assert (served.state, served.manifest.content) == (State.MISS, FIRST.content)
        assert (place.upstream.count("HEAD"), place.upstream.count("GET")) == (2, 1)

    async def test_what_the_upstream_does_not_have_there_is_not_given(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        with pytest.raises(ManifestUnknown):
            await worker.manifests.get(BUSYBOX, FIRST.digest)

    async def test_a_copy_of_another_group_does_not_help_when_the_upstream_is_away(
        self, place: Place, worker: Worker
    ) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = failure(FailureKind.ACCOUNT, status=401)
        with pytest.raises(Exception, match="does not give library/alpine to this proxy"):
            await worker.manifests.get(OTHER_ALPINE, FIRST.digest)
