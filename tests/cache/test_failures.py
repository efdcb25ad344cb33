"""The upstream fails: each cause has its own rule for the copy, and its own answer where there is none."""

from dataclasses import replace

import pytest

from proxy_core.cache.manifests import ABSENT_FOR, State
from proxy_core.errors import ManifestUnknown, NameUnknown, RegistryError, TooManyRequests, Unavailable, UpstreamBroken
from proxy_core.reference import Tag
from proxy_core.upstream import FailureKind
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, OTHER_ALPINE, failure, manifest

FIRST, SECOND = manifest(note="first"), manifest(note="second")
DAY = 24 * 3600.0
#: All causes but "there is no such tag", and what a client is told when there is no copy.
CAUSES = {
    FailureKind.OUTAGE: Unavailable,
    FailureKind.LIMITED: TooManyRequests,
    FailureKind.ACCOUNT: NameUnknown,
    FailureKind.INVALID: UpstreamBroken,
}
causes = pytest.mark.parametrize("kind", CAUSES)


async def refused(worker: Worker, reference: Tag = LATEST) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        await worker.manifests.get(ALPINE, reference)
    return caught.value


class TestWithACopy:
    @causes
    async def test_the_copy_is_served_and_says_why_and_since_when(
        self, place: Place, worker: Worker, kind: FailureKind
    ) -> None:
        place.upstream.push(ALPINE, FIRST)
        confirmed = (await worker.manifests.get(ALPINE, LATEST)).confirmed_at
        place.upstream.trouble = failure(kind)
        for pause in (0, 3 * DAY):
            place.clock.wait(pause)
            served = await worker.manifests.get(ALPINE, LATEST)
            assert served.state is State.STALE
            assert served.manifest.content == FIRST.content
            assert served.confirmed_at == pytest.approx(confirmed, abs=0.1)
            assert served.trouble is not None
            assert served.trouble.kind == kind
            assert served.trouble.cause == place.upstream.trouble.cause
            assert served.fresh_until is None

    @causes
    async def test_all_is_well_as_soon_as_the_upstream_is(
        self, place: Place, worker: Worker, kind: FailureKind
    ) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = failure(kind)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = None
        place.clock.wait(61)
        assert (await worker.manifests.get(ALPINE, LATEST)).state is State.REVALIDATED

    @causes
    async def test_a_copy_is_served_up_to_max_stale_and_no_longer(
        self, place: Place, worker: Worker, kind: FailureKind
    ) -> None:
        place.upstream.settings = replace(place.upstream.settings, max_stale=DAY)
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.clock.wait(DAY)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = failure(kind)
        place.clock.wait(DAY - 60)
        assert (await worker.manifests.get(ALPINE, LATEST)).state is State.STALE
        place.clock.wait(120)
        assert isinstance(await refused(worker), CAUSES[kind])

    async def test_without_max_stale_no_copy_is_served(self, place: Place, worker: Worker) -> None:
        place.upstream.settings = replace(place.upstream.settings, max_stale=0.0)
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = failure(FailureKind.OUTAGE)
        assert (await refused(worker)).status == 503

    async def test_a_change_that_can_not_be_fetched_leaves_the_copy(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.push(ALPINE, SECOND)

        def fail_at_get(question: str) -> None:
            place.upstream.trouble = failure(FailureKind.INVALID) if question.startswith("GET") else None

        place.upstream.meanwhile = fail_at_get
        served = await worker.manifests.get(ALPINE, LATEST)
        assert (served.state, served.manifest.content) == (State.STALE, FIRST.content)

    async def test_trouble_with_our_account_is_never_remembered(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.trouble = failure(FailureKind.ACCOUNT, status=401)
        for questions in (2, 3, 4):
            assert (await worker.manifests.get(ALPINE, LATEST)).state is State.STALE
            assert place.upstream.count("HEAD") == questions


class TestGone:
    async def test_a_tag_that_was_deleted_is_no_outage(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.named.clear()
        error = await refused(worker)
        assert isinstance(error, ManifestUnknown)
        assert error.cause == "docker.io has no tag latest in library/alpine."
        place.upstream.trouble = failure(FailureKind.OUTAGE)
        place.clock.wait(ABSENT_FOR + 1)
        assert isinstance(await refused(worker), Unavailable)

    async def test_every_worker_knows_that_it_is_gone(self, place: Place) -> None:
        place.upstream.settings = replace(place.upstream.settings, freshness=60.0)
        place.upstream.push(ALPINE, FIRST)
        one, other = await place.worker(), await place.worker()
        await one.manifests.get(ALPINE, LATEST)
        before = await other.index.generation()
        place.clock.wait(61)
        place.upstream.named.clear()
        assert isinstance(await refused(one), ManifestUnknown)
        assert await other.index.generation() > before
        assert isinstance(await refused(other), ManifestUnknown)

    async def test_its_manifest_stays_for_who_asks_by_digest(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.named.clear()
        await refused(worker)
        worker.manifests.forget()
        assert (await worker.manifests.get(ALPINE, FIRST.digest)).state is State.HIT

    async def test_what_is_not_there_is_not_asked_for_again_for_30_seconds(self, place: Place, worker: Worker) -> None:
        for _ in range(20):
            assert isinstance(await refused(worker), ManifestUnknown)
        assert place.upstream.count("HEAD") == 1
        place.upstream.push(ALPINE, FIRST)
        place.clock.wait(ABSENT_FOR - 1)
        assert isinstance(await refused(worker), ManifestUnknown)
        place.clock.wait(1)
        assert (await worker.manifests.get(ALPINE, LATEST)).state is State.MISS

    async def test_that_is_remembered_of_one_tag_of_one_image_of_one_group(self, place: Place, worker: Worker) -> None:
        await refused(worker)
        for image, reference in ((ALPINE, Tag("3.20")), (BUSYBOX, LATEST), (OTHER_ALPINE, LATEST)):
            place.upstream.push(image, FIRST, reference.name)
            if image is not OTHER_ALPINE:
                assert (await worker.manifests.get(image, reference)).state is State.MISS
        place.upstream.push(OTHER_ALPINE, FIRST)
        assert (await worker.manifests.get(OTHER_ALPINE, LATEST)).manifest.content == FIRST.content

    async def test_a_purge_ends_that(self, place: Place, worker: Worker) -> None:
        await refused(worker)
        place.upstream.push(ALPINE, FIRST)
        worker.manifests.forget()
        assert (await worker.manifests.get(ALPINE, LATEST)).state is State.MISS

    async def test_a_digest_that_was_pulled_by_its_tag_is_there_at_once(self, place: Place, worker: Worker) -> None:
        with pytest.raises(ManifestUnknown):
            await worker.manifests.get(ALPINE, FIRST.digest)
        place.upstream.push(ALPINE, FIRST)
        await worker.manifests.get(ALPINE, LATEST)
        assert (await worker.manifests.get(ALPINE, FIRST.digest)).state is State.HIT


class TestWithoutACopy:
    @causes
    async def test_the_client_is_told_the_upstreams_cause(
        self, place: Place, worker: Worker, kind: FailureKind
    ) -> None:
        place.upstream.trouble = failure(kind)
        error = await refused(worker)
        assert type(error) is CAUSES[kind]
        assert place.upstream.trouble.cause.rstrip(".") in error.cause
        assert error.fix

    @pytest.mark.parametrize(("kind", "seconds"), [(FailureKind.LIMITED, "60"), (FailureKind.OUTAGE, "5")])
    async def test_and_when_to_try_again(self, place: Place, worker: Worker, kind: FailureKind, seconds: str) -> None:
        place.upstream.trouble = failure(kind)
        assert (await refused(worker)).headers["Retry-After"] == seconds

    async def test_a_limit_is_passed_on_with_what_the_upstream_said_of_it(self, place: Place, worker: Worker) -> None:
        place.upstream.trouble = failure(FailureKind.LIMITED, status=429, retry_after=12.2)
        error = await refused(worker)
        assert error.status == 429
        assert error.headers == {"Retry-After": "13", "RateLimit-Remaining": "0;w=21600"}

    @pytest.mark.parametrize("kind", [FailureKind.ACCOUNT, FailureKind.INVALID])
    async def test_what_is_no_matter_of_waiting_is_asked_again_at_once(
        self, place: Place, worker: Worker, kind: FailureKind
    ) -> None:
        place.upstream.trouble = failure(kind)
        for questions in (1, 2, 3):
            await refused(worker)
            assert place.upstream.count("HEAD") == questions
        place.upstream.trouble = None
        place.upstream.push(ALPINE, FIRST)
        assert (await worker.manifests.get(ALPINE, LATEST)).state is State.MISS
