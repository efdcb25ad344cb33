"""One GET for a blob, first bytes to everybody at once, at each reader's own pace, and tied to no client."""

import asyncio

import pytest

from tests.cache.conftest import Place, Worker
from tests.cache.filling.conftest import CONTENT, HELD_BACK, MIB, Blob
from tests.cache.filling.reading import PATIENCE, read_all, until
from tests.cache.stream import Act, Gate
from tests.cache.upstream import ALPINE


async def test_fifty_readers_share_one_get(blob: Blob, worker: Worker) -> None:
    readers = await asyncio.gather(*(blob.reader(worker) for _ in range(50)))
    pieces = [20_000 + 5_000 * number for number in range(50)]
    got = await asyncio.gather(*(read_all(reader, piece=piece) for reader, piece in zip(readers, pieces, strict=True)))
    assert set(got) == {CONTENT}
    assert blob.asked == [0]
    assert await blob.stored(worker) == CONTENT


async def test_two_workers_on_one_folder_share_one_get(blob: Blob, place: Place) -> None:
    workers = [await place.worker(), await place.worker()]
    gate = Gate()
    blob.plays(Act(gates={MIB: gate}))
    readers = [await blob.reader(worker) for worker in workers for _ in range(3)]
    reads = [asyncio.create_task(read_all(reader)) for reader in readers]
    gate.open()
    assert set(await asyncio.gather(*reads)) == {CONTENT}
    assert blob.asked == [0]
    assert await blob.stored(workers[0]) == CONTENT
    await workers[1].settled(blob.digest)
    assert [len(worker.filled) for worker in workers] == [1, 0]


@pytest.mark.parametrize("number", [0, 1], ids=["its leader's process", "another process"])
async def test_the_first_bytes_come_before_the_last_are_there(blob: Blob, place: Place, number: int) -> None:
    workers = [await place.worker(), await place.worker()]
    gate = Gate()
    blob.plays(Act(gates={MIB: gate}))
    leader = await blob.reader(workers[0])
    reader = await blob.reader(workers[number])
    assert reader.size == len(CONTENT)
    assert await read_all(reader, end=MIB) == CONTENT[:MIB]
    gate.open()
    assert await read_all(leader) == CONTENT


async def test_any_part_can_be_read_while_it_grows(blob: Blob, worker: Worker) -> None:
    gate = Gate()
    blob.plays(Act(gates={MIB: gate}))
    parts = [(0, 10), (MIB - 10, MIB), (5, MIB + 5), (2 * MIB, 2 * MIB + 100), (len(CONTENT) - 7, len(CONTENT))]
    reads = [asyncio.create_task(read_all(await blob.reader(worker), offset=offset, end=end)) for offset, end in parts]
    assert await reads[0] == CONTENT[:10]
    assert await reads[1] == CONTENT[MIB - 10 : MIB]
    await asyncio.sleep(0.05)
    assert [read.done() for read in reads] == [True, True, False, False, False]
    gate.open()
    assert await asyncio.gather(*reads) == [CONTENT[offset:end] for offset, end in parts]


async def test_the_end_is_an_empty_read(blob: Blob, worker: Worker) -> None:
    reader = await blob.reader(worker)
    assert await reader.read(len(CONTENT), 10) == b""
    assert await reader.read(len(CONTENT) - 1, 10) == CONTENT[-1:]
    reader.close()


async def test_a_reader_slower_than_the_fill_reads_on_after_it(blob: Blob, worker: Worker) -> None:
    reader = await blob.reader(worker)
    assert await reader.read(0, 1000) == CONTENT[:1000]
    assert await blob.stored(worker) == CONTENT
    assert await blob.place.folder.blobs.delete(blob.digest)  # its file has no name any more
    assert await read_all(reader, offset=1000) == CONTENT[1000:]


async def test_the_fill_goes_on_when_all_clients_have_left(blob: Blob, worker: Worker) -> None:
    gate = Gate()
    blob.plays(Act(gates={MIB: gate}))
    readers = [await blob.reader(worker) for _ in range(3)]
    for reader in readers:
        reader.close()
    gate.open()
    assert await blob.stored(worker) == CONTENT
    assert blob.asked == [0]


async def test_a_client_that_leaves_before_the_first_byte_stops_nothing(blob: Blob, worker: Worker) -> None:
    gate = Gate()
    blob.plays(Act(gates={0: gate}))
    opening = asyncio.create_task(blob.open(worker))
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    gate.open()
    assert await blob.stored(worker) == CONTENT


async def test_what_is_stored_meanwhile_is_opened_in_the_store(blob: Blob, worker: Worker) -> None:
    blob.content = CONTENT[: HELD_BACK // 2]
    blob.place.upstream.push_blob(ALPINE, blob.content)
    await blob.open(worker)
    assert await blob.stored(worker) == blob.content
    assert await blob.open(worker) is None


async def test_so_many_blobs_are_fetched_at_once_and_the_rest_wait_in_turn(place: Place) -> None:
    place.most_fills = 2
    workers = [await place.worker(), await place.worker()]
    gate = Gate()
    blobs = [Blob(place, CONTENT[number:]) for number in range(4)]
    for one in blobs:
        place.upstream.push_blob(ALPINE, one.content)
    blobs[0].plays(Act(gates={0: gate, MIB: gate, 2 * MIB: gate}))
    openings = [asyncio.create_task(one.open(workers[number % 2])) for number, one in enumerate(blobs)]
    await until(lambda: place.upstream.count("BLOB") == 2)
    await asyncio.sleep(0.2)
    assert place.upstream.count("BLOB") == 2
    gate.open()
    for one, opening in zip(blobs, openings, strict=True):
        reader = await opening
        assert reader is not None
        assert await read_all(reader) == one.content
    assert place.upstream.count("BLOB") == 4
