"""Where a blob can not be kept it is passed through: pulls go on, nothing half is kept, and nothing wrong is given."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy_core.cache.filling.readers import FillingBlob, PassedThrough
from proxy_core.cache.filling.source import NoRoom
from proxy_core.errors import ProxyError, UpstreamBroken
from proxy_core.upstream import FailureKind, UpstreamFailure
from tests.cache.conftest import Place, Worker
from tests.cache.filling.conftest import CONTENT, HELD_BACK, MIB, Blob
from tests.cache.filling.reading import PATIENCE, read_all, read_into, until
from tests.cache.stream import Act, Gate
from tests.cache.upstream import failure


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """A disk that is full after so many bytes, as far as this process can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
async def full(place: Place) -> Worker:
    """A worker without room for the blob."""
    place.max_size = MIB
    return await place.worker()


async def passed_through(blob: Blob, worker: Worker) -> PassedThrough:
    reader = await blob.open(worker)
    assert isinstance(reader, PassedThrough)
    return reader


async def test_is_passed_through_whole_and_leaves_nothing(blob: Blob, full: Worker) -> None:
    reader = await passed_through(blob, full)
    assert reader.size == len(CONTENT)
    assert await read_all(reader, piece=100_000) == CONTENT
    assert await blob.stored(full) is None
    assert blob.partial() is None
    assert [type(error) for _, error in full.failed] == [NoRoom]


@pytest.mark.parametrize(("offset", "end"), [(0, 10), (MIB, MIB + 7), (len(CONTENT) - 5, len(CONTENT)), (5, None)])
async def test_a_part_of_it_too(blob: Blob, full: Worker, offset: int, end: int | None) -> None:
    assert await read_all(await passed_through(blob, full), offset=offset, end=end) == CONTENT[offset:end]


async def test_the_first_bytes_come_before_the_last_are_there(blob: Blob, full: Worker) -> None:
    gate = Gate()
    blob.plays(Act(), Act(gates={MIB: gate}))
    reader = await passed_through(blob, full)
    assert await reader.read(0, 1000) == CONTENT[:1000]
    reading = asyncio.create_task(read_all(reader, offset=1000))
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    gate.open()
    assert await reading == CONTENT[1000:]


async def test_wrong_bytes_are_held_back_here_too(blob: Blob, full: Worker) -> None:
    blob.plays(Act(content=CONTENT[:-1] + b"!"))
    got = bytearray()
    with pytest.raises(UpstreamBroken):
        await read_into(got, await passed_through(blob, full))
    assert len(got) <= len(CONTENT) - HELD_BACK


async def test_a_stream_that_breaks_is_an_error(blob: Blob, full: Worker) -> None:
    blob.plays(Act(), Act(cut=MIB))
    got = bytearray()
    with pytest.raises(UpstreamFailure):
        await read_into(got, await passed_through(blob, full))
    assert got == CONTENT[: len(got)]


async def test_without_a_length_it_is_read_to_its_end(blob: Blob, full: Worker) -> None:
    blob.place.upstream.tells_size = False
    reader = await blob.open(full)
    assert reader is not None
    assert await read_all(reader) == CONTENT


async def test_an_upstream_that_refuses_is_a_clean_error(blob: Blob, full: Worker) -> None:
    blob.plays(Act(), Act(refusal=failure(FailureKind.LIMITED)))
    with pytest.raises(UpstreamFailure) as caught:
        await blob.open(full)
    assert caught.value.kind is FailureKind.LIMITED


async def test_a_client_that_leaves_ends_the_stream(blob: Blob, full: Worker) -> None:
    gate = Gate()
    blob.plays(Act(), Act(gates={MIB: gate}))
    reader = await passed_through(blob, full)
    reading = asyncio.create_task(read_all(reader))
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: blob.place.upstream.streams == 0)


async def test_a_client_that_leaves_before_the_upstream_answers_leaves_no_stream(blob: Blob, full: Worker) -> None:
    gate = Gate()
    blob.plays(Act(), Act(opening=gate))
    opening = asyncio.create_task(blob.open(full))
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    gate.open()
    await until(lambda: blob.place.upstream.streams == 0)


class TestDiskFullInTheMiddle:
    async def test_readers_go_on_from_the_upstream_and_get_the_same_bytes(
        self, blob: Blob, place: Place, worker: Worker
    ) -> None:
        gate = Gate()
        blob.plays(Act(gates={MIB: gate}), Act())
        readers = [await blob.reader(worker) for _ in range(3)]
        assert await readers[0].read(0, 1000) == CONTENT[:1000]
        with files_no_longer_than(2 * MIB):
            gate.open()
            reads = [read_all(readers[0], offset=1000), read_all(readers[1]), read_all(readers[2], offset=2 * MIB)]
            assert await asyncio.gather(*reads) == [CONTENT[1000:], CONTENT, CONTENT[2 * MIB :]]
            await worker.settled(blob.digest)
            assert blob.partial() is None
        assert [type(error) for _, error in worker.failed] == [NoRoom]

    async def test_as_soon_as_there_is_room_blobs_are_kept_again(self, blob: Blob, worker: Worker) -> None:
        with files_no_longer_than(MIB):
            reader = await blob.open(worker)
            assert reader is not None
            assert await read_all(reader) == CONTENT
            await worker.settled(blob.digest)
        reader = await blob.open(worker)
        assert isinstance(reader, FillingBlob)
        assert await read_all(reader) == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_who_would_get_other_bytes_from_the_upstream_is_broken_off(self, blob: Blob, worker: Worker) -> None:
        gate = Gate()
        blob.plays(Act(gates={MIB: gate}), Act(content=CONTENT[::-1]))
        reader = await blob.reader(worker)
        assert await reader.read(0, 1000) == CONTENT[:1000]
        with files_no_longer_than(2 * MIB):
            gate.open()
            got = bytearray()
            with pytest.raises(ProxyError):
                await read_into(got, reader, offset=1000)
            await worker.settled(blob.digest)
        assert got == CONTENT[1000 : 1000 + len(got)]


async def test_a_folder_that_takes_no_files_is_no_obstacle(blob: Blob, place: Place, worker: Worker) -> None:
    (place.folder.directory / "partial").rmdir()
    (place.folder.directory / "partial").write_text("in the way")
    reader = await blob.open(worker)
    assert isinstance(reader, PassedThrough)
    assert await read_all(reader) == CONTENT
