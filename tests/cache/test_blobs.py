"""Which bytes are served for a blob, and to whom: bytes are shared between groups, rights are not."""

import asyncio

import pytest

from proxy_core.cache.blobs import OpenBlob
from proxy_core.cache.manifests import ABSENT_FOR, State
from proxy_core.errors import BlobUnknown, NameUnknown, RegistryError, TooManyRequests, Unavailable, UpstreamBroken
from proxy_core.reference import Digest, Image
from proxy_core.upstream import FailureKind
from tests.cache.conftest import Place, Worker
from tests.cache.filling.reading import read_all
from tests.cache.stream import Act, Script
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, OTHER_ALPINE, digest_of, failure, manifest

LAYER = bytes(range(256)) * 1200
DIGEST = digest_of(LAYER)


async def pull(worker: Worker, image: Image = ALPINE, digest: Digest = DIGEST) -> tuple[bytes, OpenBlob]:
    blob = await worker.blobs.open(image, digest)
    return await read_all(blob.reader), blob


@pytest.fixture
async def pulled(place: Place, worker: Worker) -> Worker:
    """A worker that has an image with one layer."""
    place.upstream.push_blob(ALPINE, LAYER)
    place.upstream.push(ALPINE, manifest(LAYER))
    await worker.manifests.get(ALPINE, LATEST)
    assert (await pull(worker))[0] == LAYER
    await worker.settled(DIGEST)
    place.upstream.asked.clear()
    return worker


class TestClaims:
    async def test_a_layer_of_a_manifest_that_is_here_costs_one_get_and_no_head(
        self, place: Place, worker: Worker
    ) -> None:
        place.upstream.push_blob(ALPINE, LAYER)
        place.upstream.push(ALPINE, manifest(LAYER))
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.asked.clear()
        content, blob = await pull(worker)
        assert (content, blob.state, blob.kept) == (LAYER, State.MISS, True)
        assert place.upstream.asked == [f"BLOB library/alpine {DIGEST} 0"]

    async def test_one_that_is_here_costs_nothing_whatever_the_upstream_does(
        self, place: Place, pulled: Worker
    ) -> None:
        place.upstream.trouble = failure(FailureKind.OUTAGE)
        for worker in (pulled, await place.worker()):
            content, blob = await pull(worker)
            assert (content, blob.state) == (LAYER, State.HIT)
            assert await worker.blobs.size(ALPINE, DIGEST) == (len(LAYER), State.HIT)
        assert place.upstream.asked == []

    async def test_a_blob_that_no_manifest_here_names_needs_the_upstreams_word_once(self, place: Place) -> None:
        place.upstream.push_blob(ALPINE, LAYER)
        one, other = await place.worker(), await place.worker()
        for worker in (one, other, one):
            assert (await pull(worker))[0] == LAYER
            await worker.settled(DIGEST)
        assert place.upstream.asked == [f"BLOBHEAD library/alpine {DIGEST}", f"BLOB library/alpine {DIGEST} 0"]

    async def test_what_another_group_has_needs_the_upstreams_word_and_no_get(
        self, place: Place, pulled: Worker
    ) -> None:
        for _ in range(2):
            content, blob = await pull(pulled, OTHER_ALPINE)
            assert (content, blob.state) == (LAYER, State.HIT)
        assert place.upstream.asked == [f"BLOBHEAD library/alpine {DIGEST}"]

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            (FailureKind.NOT_FOUND, BlobUnknown),
            (FailureKind.ACCOUNT, NameUnknown),
            (FailureKind.OUTAGE, Unavailable),
            (FailureKind.LIMITED, TooManyRequests),
            (FailureKind.INVALID, UpstreamBroken),
        ],
    )
    async def test_without_that_word_the_bytes_are_not_given(
        self, place: Place, pulled: Worker, kind: FailureKind, error: type[RegistryError]
    ) -> None:
        place.upstream.trouble = failure(kind)
        for image in (OTHER_ALPINE, BUSYBOX):
            with pytest.raises(error):
                await pulled.blobs.open(image, DIGEST)
            with pytest.raises(error):
                await pulled.blobs.size(image, DIGEST)

    async def test_after_a_purge_the_word_is_needed_again(self, place: Place, pulled: Worker) -> None:
        await pulled.index.purge(ALPINE.group)
        pulled.blobs.forget()
        place.upstream.blobs.clear()
        with pytest.raises(BlobUnknown):
            await pulled.blobs.open(ALPINE, DIGEST)

    async def test_an_upstream_that_tells_no_size_is_asked_each_time(self, place: Place, worker: Worker) -> None:
        place.upstream.tells_size = False
        place.upstream.push_blob(ALPINE, LAYER)
        for _ in range(2):
            assert await worker.blobs.size(ALPINE, DIGEST) == (None, State.MISS)
        content, blob = await pull(worker)
        assert (content, blob.reader.size) == (LAYER, None)


class TestSizes:
    async def test_of_a_blob_that_is_not_here_the_upstream_is_asked(self, place: Place, worker: Worker) -> None:
        place.upstream.push_blob(ALPINE, LAYER)
        place.upstream.push(ALPINE, manifest(LAYER))
        await worker.manifests.get(ALPINE, LATEST)
        assert await worker.blobs.size(ALPINE, DIGEST) == (len(LAYER), State.MISS)
        place.upstream.tells_size = False
        assert await worker.blobs.size(ALPINE, DIGEST) == (len(LAYER), State.MISS)
        assert place.upstream.count("BLOB") == 0

    async def test_what_the_upstream_does_not_have_is_unknown(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, manifest(LAYER))
        await worker.manifests.get(ALPINE, LATEST)
        with pytest.raises(BlobUnknown):
            await worker.blobs.size(ALPINE, DIGEST)


class TestFailures:
    async def test_what_is_not_there_is_not_asked_for_again_for_30_seconds(self, place: Place, worker: Worker) -> None:
        for _ in range(5):
            with pytest.raises(BlobUnknown) as caught:
                await worker.blobs.open(ALPINE, DIGEST)
        assert caught.value.cause == f"docker.io has no blob {DIGEST} in library/alpine."
        assert len(place.upstream.asked) == 1
        place.upstream.push_blob(ALPINE, LAYER)
        place.clock.wait(ABSENT_FOR + 1)
        assert (await pull(worker))[0] == LAYER

    async def test_also_where_a_manifest_names_it(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, manifest(LAYER))
        await worker.manifests.get(ALPINE, LATEST)
        place.upstream.asked.clear()
        for _ in range(5):
            with pytest.raises(BlobUnknown):
                await worker.blobs.open(ALPINE, DIGEST)
        assert len(place.upstream.asked) == 1

    async def test_that_hides_no_blob_that_came_through_another_group(self, place: Place, worker: Worker) -> None:
        place.upstream.push(ALPINE, manifest(LAYER))
        await worker.manifests.get(ALPINE, LATEST)
        with pytest.raises(BlobUnknown):
            await worker.blobs.open(ALPINE, DIGEST)
        place.upstream.push_blob(ALPINE, LAYER)
        await pull(worker, OTHER_ALPINE)
        await worker.settled(DIGEST)
        assert (await pull(worker))[1].state is State.HIT

    async def test_many_who_wait_for_one_fill_that_fails_are_one_failure(self, place: Place, worker: Worker) -> None:
        """Else the pause after one broken connection would be as long as after twenty."""
        place.upstream.push_blob(ALPINE, LAYER)
        await worker.blobs.size(ALPINE, DIGEST)
        place.upstream.script = Script(Act(refusal=failure(FailureKind.OUTAGE)))
        answers = await asyncio.gather(*(worker.blobs.open(ALPINE, DIGEST) for _ in range(20)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        pause = await worker.index.pause("docker.io blobs")
        assert pause is not None
        assert pause.strikes == 1

    async def test_a_limit_on_manifests_does_not_stop_blobs(self, place: Place, pulled: Worker) -> None:
        other = b"other layer" * 50_000
        place.upstream.push_blob(ALPINE, other)
        place.upstream.trouble = failure(FailureKind.LIMITED)
        with pytest.raises(TooManyRequests):
            await pulled.manifests.get(BUSYBOX, LATEST)
        place.upstream.trouble = None
        assert (await pull(pulled, digest=digest_of(other)))[0] == other

    async def test_a_limit_on_blobs_is_told_and_kept_to(self, place: Place, worker: Worker) -> None:
        place.upstream.push_blob(ALPINE, LAYER)
        await worker.blobs.size(ALPINE, DIGEST)
        place.upstream.script = Script(Act(refusal=failure(FailureKind.LIMITED, retry_after=30.0)))
        for _ in range(3):
            with pytest.raises(TooManyRequests) as caught:
                await worker.blobs.open(ALPINE, DIGEST)
            assert caught.value.headers["Retry-After"] == "30"
        assert place.upstream.count("BLOB") == 1

    async def test_a_damaged_blob_is_fetched_anew(self, place: Place, pulled: Worker) -> None:
        path = place.folder.blobs.path(DIGEST)
        with path.open("r+b") as file:
            file.write(b"xyz")
        content, blob = await pull(pulled)
        assert (content, blob.state) == (LAYER, State.MISS)
        await pulled.settled(DIGEST)
        assert (await pull(pulled))[1].state is State.HIT

    async def test_without_room_a_blob_is_passed_through(self, place: Place) -> None:
        place.max_size = len(LAYER) - 1
        worker = await place.worker()
        place.upstream.push_blob(ALPINE, LAYER)
        for _ in range(2):
            content, blob = await pull(worker)
            assert (content, blob.state, blob.kept) == (LAYER, State.MISS, False)
        assert await place.folder.blobs.open(DIGEST) is None
        assert place.folder.spool.size() == 0
