"""Streams that break, lie or never end: they are resumed or begun anew, and no reader ever sees bytes that differ."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_core.cache.filling.readers import FillingBlob
from proxy_core.errors import ProxyError, UpstreamBroken
from proxy_core.upstream import FailureKind, UpstreamFailure
from tests.cache.conftest import Place, Worker
from tests.cache.filling.conftest import CONTENT, HELD_BACK, MIB, Blob
from tests.cache.filling.reading import read_all, read_into
from tests.cache.stream import PIECE, Act, Gate
from tests.cache.upstream import ALPINE, failure

LAST = len(CONTENT)


async def refusal(blob: Blob, worker: Worker, **order: int) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await blob.open(worker, **order)
    await worker.settled(blob.digest)
    return caught.value


async def got_until_error(blob: Blob, worker: Worker) -> tuple[bytes, Exception]:
    """What a client gets of a body that breaks off, and why it does."""
    got = bytearray()
    with pytest.raises(ProxyError) as caught:
        await read_into(got, await blob.reader(worker))
    await worker.settled(blob.digest)
    return bytes(got), caught.value


class TestResuming:
    @pytest.mark.parametrize("cut", [0, 1, PIECE, LAST // 2, LAST - 1])
    async def test_goes_on_from_where_it_broke(self, blob: Blob, worker: Worker, cut: int) -> None:
        blob.plays(Act(cut=cut), Act())
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert blob.asked == [0, cut]
        assert await blob.stored(worker) == CONTENT

    @pytest.mark.parametrize("cut", [1, LAST // 2, LAST - 1])
    async def test_begins_anew_where_the_upstream_can_not_go_on(self, blob: Blob, worker: Worker, cut: int) -> None:
        blob.plays(Act(cut=cut), Act(ranged=False))
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_as_often_as_it_breaks_while_there_is_progress(self, blob: Blob, worker: Worker) -> None:
        blob.plays(*(Act(cut=number * PIECE * 2) for number in range(1, 20)), Act())
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert len(blob.asked) == 20

    async def test_gives_up_after_a_few_attempts_without_progress_and_keeps_what_there_is(
        self, blob: Blob, worker: Worker
    ) -> None:
        blob.plays(Act(cut=MIB))
        got, error = await got_until_error(blob, worker)
        assert isinstance(error, UpstreamFailure)
        assert error.kind is FailureKind.OUTAGE
        assert got == CONTENT[: len(got)]
        assert len(blob.asked) < 10
        assert blob.partial() == MIB
        blob.plays(Act())
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert blob.asked[-1] == MIB

    @pytest.mark.parametrize("kind", [FailureKind.ACCOUNT, FailureKind.LIMITED])
    async def test_what_is_no_fault_of_the_bytes_leaves_them_for_the_next_pull(
        self, blob: Blob, worker: Worker, kind: FailureKind
    ) -> None:
        """401 in the middle: the token expired and no other was to be had."""
        blob.plays(Act(cut=MIB), Act(refusal=failure(kind)))
        _, error = await got_until_error(blob, worker)
        assert isinstance(error, UpstreamFailure)
        assert error.kind is kind
        blob.plays(Act())
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert blob.asked[-1] == MIB

    async def test_a_blob_that_is_gone_in_the_middle_leaves_nothing(self, blob: Blob, worker: Worker) -> None:
        blob.plays(Act(cut=MIB), Act(refusal=failure(FailureKind.NOT_FOUND)))
        await got_until_error(blob, worker)
        assert blob.partial() is None

    @pytest.mark.parametrize("starts_at", [0, MIB - 5, MIB + 5, 2 * MIB])
    async def test_a_part_from_elsewhere_is_put_where_it_belongs_or_not_taken(
        self, blob: Blob, worker: Worker, starts_at: int
    ) -> None:
        """A false Content-Range must leave no hole, neither in the store nor in any answer."""
        blob.plays(Act(cut=MIB), Act(starts_at=starts_at))
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_a_part_that_is_refused_is_followed_by_the_whole(self, blob: Blob, worker: Worker) -> None:
        """416, or a Content-Range that makes no sense."""
        blob.plays(Act(cut=MIB), Act(refusal=failure(FailureKind.INVALID, status=416)), Act())
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert blob.asked == [0, MIB, 0]


class TestContradictions:
    async def test_other_bytes_than_before_are_never_mixed(self, blob: Blob, worker: Worker) -> None:
        """The first half was right, the second answer differs; who had the first half gets the right rest."""
        gate = Gate()
        blob.plays(Act(cut=MIB, gates={MIB - PIECE: gate}), Act(ranged=False, content=CONTENT[::-1]), Act())
        reader = await blob.reader(worker)
        got = bytearray(await reader.read(0, 1000))
        gate.open()
        await read_into(got, reader)
        assert bytes(got) == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_who_got_wrong_bytes_is_broken_off_and_the_next_pull_is_right(
        self, blob: Blob, worker: Worker
    ) -> None:
        wrong = CONTENT[::-1]
        gate = Gate()
        blob.plays(Act(content=wrong, cut=MIB, gates={MIB - PIECE: gate}), Act(ranged=False), Act())
        reader = await blob.reader(worker)
        got = bytearray(await reader.read(0, 1000))
        gate.open()
        with pytest.raises(UpstreamBroken):
            await read_into(got, reader)
        assert bytes(got) == wrong[: len(got)]
        assert len(got) <= LAST - HELD_BACK
        assert await blob.stored(worker) == CONTENT

    async def test_another_size_than_before_begins_anew(self, blob: Blob, worker: Worker) -> None:
        blob.plays(Act(cut=MIB), Act(content=CONTENT[:-5]), Act())
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_one_that_contradicts_itself_each_time_is_given_up(self, blob: Blob, worker: Worker) -> None:
        others = [bytes([number]) * LAST for number in range(6)]
        blob.plays(*(Act(ranged=False, content=other, cut=MIB + number) for number, other in enumerate(others)))
        await got_until_error(blob, worker)
        assert await blob.stored(worker) is None
        assert blob.partial() is None


class TestWrongBytes:
    @pytest.mark.parametrize("at", [0, LAST // 2, LAST - 1])
    async def test_nobody_gets_more_than_all_but_the_last_64_kib(
        self, blob: Blob, place: Place, worker: Worker, at: int
    ) -> None:
        """A client that has not all bytes fails by itself, whether it checks digests or not."""
        blob.plays(Act(content=CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :]))
        other = await place.worker()
        results = await asyncio.gather(*(got_until_error(blob, one) for one in (worker, other, worker)))
        for got, error in results:
            assert len(got) <= LAST - HELD_BACK
            assert isinstance(error, ProxyError)
        assert await blob.stored(worker) is None
        assert blob.partial() is None
        blob.plays(Act())
        assert await read_all(await blob.reader(worker)) == CONTENT

    @pytest.mark.parametrize("size", [1, 1000, HELD_BACK])
    async def test_a_small_blob_is_a_clean_error(self, blob: Blob, worker: Worker, size: int) -> None:
        blob.content = CONTENT[:size]
        blob.place.upstream.push_blob(ALPINE, blob.content)
        blob.plays(Act(content=b"!" * size))
        error = await refusal(blob, worker)
        assert (error.kind, error.reason) == (FailureKind.INVALID, "digest_mismatch")
        assert await blob.stored(worker) is None

    async def test_an_empty_blob_is_filled_like_any_other(self, blob: Blob, worker: Worker) -> None:
        blob.content = b""
        blob.place.upstream.push_blob(ALPINE, b"")
        reader = await blob.open(worker)
        assert reader is None or await read_all(reader) == b""
        assert await blob.stored(worker) == b""

    @pytest.mark.parametrize("claims", [LAST + 1, LAST - 1, LAST - HELD_BACK * 2, 10])
    async def test_more_or_fewer_bytes_than_claimed_are_not_kept(self, blob: Blob, worker: Worker, claims: int) -> None:
        blob.plays(Act(claims=claims))
        with pytest.raises(ProxyError):
            await read_all(await blob.reader(worker))
        assert await blob.stored(worker) is None

    async def test_one_that_is_larger_than_allowed_is_broken_off(self, blob: Blob, worker: Worker) -> None:
        blob.place.upstream.tells_size = False
        reader = await blob.open(worker, max_size=MIB)
        assert reader is not None
        with pytest.raises(UpstreamFailure, match="max_blob"):
            await read_all(reader)
        await worker.settled(blob.digest)
        assert blob.partial() is None


class TestWithoutALength:
    async def test_is_read_to_its_end(self, blob: Blob, worker: Worker) -> None:
        blob.place.upstream.tells_size = False
        reader = await blob.reader(worker)
        assert reader.size is None
        assert await read_all(reader) == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_has_the_length_that_its_manifest_says(self, blob: Blob, worker: Worker) -> None:
        blob.place.upstream.tells_size = False
        reader = await blob.open(worker, size=LAST)
        assert reader is not None
        assert reader.size == LAST
        assert await read_all(reader) == CONTENT

    async def test_wrong_bytes_are_held_back(self, blob: Blob, worker: Worker) -> None:
        blob.place.upstream.tells_size = False
        blob.plays(Act(content=CONTENT[:-1] + b"!"))
        got, _ = await got_until_error(blob, worker)
        assert len(got) <= LAST - HELD_BACK
        assert await blob.stored(worker) is None

    async def test_is_resumed_when_it_breaks(self, blob: Blob, worker: Worker) -> None:
        blob.place.upstream.tells_size = False
        blob.plays(Act(cut=MIB), Act())
        assert await read_all(await blob.reader(worker)) == CONTENT


@pytest.mark.parametrize("kind", FailureKind)
async def test_an_upstream_that_refuses_is_a_clean_error_and_leaves_nothing(
    blob: Blob, worker: Worker, kind: FailureKind
) -> None:
    blob.plays(Act(refusal=failure(kind)))
    assert (await refusal(blob, worker)).kind is kind
    assert blob.partial() is None
    assert len(blob.asked) == 1
    assert [type(error) for _, error in worker.failed] == [UpstreamFailure]


_acts = st.builds(
    Act,
    cut=st.none() | st.integers(0, 5 * PIECE),
    ranged=st.booleans(),
    starts_at=st.none() | st.integers(0, 5 * PIECE),
)


@given(acts=st.lists(_acts, max_size=4), sizes=st.booleans(), piece=st.integers(1000, 300_000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_however_it_breaks_the_bytes_are_right(
    place: Place, worker: Worker, acts: list[Act], sizes: bool, piece: int
) -> None:
    content = CONTENT[: 5 * PIECE + 17]
    blob = Blob(place, content)
    await place.folder.blobs.delete(blob.digest)
    place.upstream.push_blob(ALPINE, content)
    place.upstream.tells_size = sizes
    blob.plays(*acts, Act(), Act(ranged=False))
    reader = await blob.reader(worker)
    assert isinstance(reader, FillingBlob)
    assert await read_all(reader, piece=piece) == content
    assert await blob.stored(worker) == content
