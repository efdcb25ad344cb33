"""A fill survives the process that leads it: what it has so far is gone on with, by whoever is there or comes next."""

import asyncio
import os
from pathlib import Path

import pytest

from proxy_core.errors import ProxyError, Unavailable
from proxy_core.storage.folder import Folder
from tests.cache.conftest import Place, Worker
from tests.cache.filling.conftest import CONTENT, HELD_BACK, MIB, Blob
from tests.cache.filling.reading import PATIENCE, read_all, read_into
from tests.cache.stream import Act, Gate
from tests.storage.processes import Process


def leader(place: Place, blob: Blob, then: str) -> Process:
    """A process that leads the fill of a blob, has a MiB of it, and then does something."""
    (Path(place.folder.directory) / "content").write_bytes(blob.content)
    return Process(
        f"""
        import os
        from pathlib import Path
        from proxy_core.reference import parse_digest
        from proxy_core.storage.folder import Folder
        directory = Path({str(place.folder.directory)!r})
        folder, digest = Folder(directory), parse_digest({str(blob.digest)!r})
        content = (directory / "content").read_bytes()
        lock = folder.spool.lead(digest)
        partial = folder.spool.create(digest, len(content))
        os.pwrite(partial.fd, content[:{MIB}], 0)
        {then}
        say("there")
        wait()
        """
    )


class TestKilled:
    async def test_who_follows_takes_over_and_its_readers_notice_nothing(
        self, place: Place, blob: Blob, worker: Worker
    ) -> None:
        with leader(place, blob, "") as process:
            assert process.heard() == "there"
            reader = await blob.reader(worker)
            assert await read_all(await blob.reader(worker), end=MIB // 2) == CONTENT[: MIB // 2]
            assert blob.asked == []
            process.kill()
        assert await read_all(reader) == CONTENT
        assert blob.asked == [MIB]
        assert await blob.stored(worker) == CONTENT

    async def test_who_comes_later_goes_on(self, place: Place, blob: Blob, worker: Worker) -> None:
        with leader(place, blob, "") as process:
            assert process.heard() == "there"
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert blob.asked == [MIB]

    async def test_after_the_seal_nobody_asks_the_upstream(self, place: Place, blob: Blob, worker: Worker) -> None:
        with leader(place, blob, "os.pwrite(partial.fd, content, 0); partial.seal()") as process:
            assert process.heard() == "there"
        reader = await blob.open(worker)
        assert reader is None or await read_all(reader) == CONTENT
        assert await blob.stored(worker) == CONTENT
        assert blob.asked == []

    async def test_with_all_bytes_there_only_their_hash_is_missing(
        self, place: Place, blob: Blob, worker: Worker
    ) -> None:
        with leader(place, blob, "os.pwrite(partial.fd, content, 0)") as process:
            assert process.heard() == "there"
        assert await read_all(await blob.reader(worker)) == CONTENT
        assert await blob.stored(worker) == CONTENT
        assert blob.asked == []

    async def test_with_all_bytes_there_and_wrong_it_begins_anew(
        self, place: Place, blob: Blob, worker: Worker
    ) -> None:
        with leader(place, blob, "os.pwrite(partial.fd, content[:-1] + b'!', 0)") as process:
            assert process.heard() == "there"
        got = bytearray()
        try:
            await read_into(got, await blob.reader(worker))
        except ProxyError:
            assert len(got) <= len(CONTENT) - HELD_BACK
        else:
            assert got == CONTENT
        assert await blob.stored(worker) == CONTENT

    async def test_before_the_first_byte_there_is_nothing_to_take_over(
        self, place: Place, blob: Blob, worker: Worker
    ) -> None:
        with leader(place, blob, "folder.spool.discard(digest)") as process:
            assert process.heard() == "there"
            opening = asyncio.create_task(blob.open(worker))
            await asyncio.sleep(0.05)
            assert not opening.done()
        reader = await opening
        assert reader is not None
        assert await read_all(reader) == CONTENT
        assert blob.asked == [0]

    async def test_what_it_left_may_be_wrong_and_is_then_not_served(
        self, place: Place, blob: Blob, worker: Worker
    ) -> None:
        with leader(place, blob, "os.pwrite(partial.fd, b'!', 10)") as process:
            assert process.heard() == "there"
        got = bytearray()
        with pytest.raises(ProxyError):
            await read_into(got, await blob.reader(worker))
        assert len(got) <= len(CONTENT) - HELD_BACK
        await worker.settled(blob.digest)
        await blob.open(worker)
        assert await blob.stored(worker) == CONTENT


class TestStopped:
    async def test_a_worker_that_stops_leaves_its_part_to_the_next(self, place: Place, blob: Blob) -> None:
        first = await place.worker()
        gate = Gate()
        blob.plays(Act(gates={MIB: gate}), Act())
        reader = await blob.reader(first)
        await asyncio.to_thread(gate.reached.wait, PATIENCE)
        await first.fills.close()
        with pytest.raises(ProxyError):
            await read_all(reader)
        assert blob.partial() == MIB
        second = await place.worker()
        assert await read_all(await blob.reader(second)) == CONTENT
        assert blob.asked == [0, MIB]

    async def test_a_worker_that_follows_takes_over(self, place: Place, blob: Blob) -> None:
        first, second = await place.worker(), await place.worker()
        gate = Gate()
        blob.plays(Act(gates={MIB: gate}), Act())
        await blob.reader(first)
        await asyncio.to_thread(gate.reached.wait, PATIENCE)
        reader = await blob.reader(second)
        await first.fills.close()
        assert await read_all(reader) == CONTENT
        assert blob.asked == [0, MIB]
        assert await blob.stored(second) == CONTENT

    async def test_a_pull_that_waits_for_its_first_byte_is_told(self, place: Place, blob: Blob) -> None:
        worker = await place.worker()
        gate = Gate()
        blob.plays(Act(gates={0: gate}))
        opening = asyncio.create_task(blob.open(worker))
        await asyncio.to_thread(gate.reached.wait, PATIENCE)
        await worker.fills.close()
        with pytest.raises(Unavailable, match="stops"):
            await opening


class TestStuck:
    @pytest.mark.parametrize("then", ["", "folder.spool.discard(digest)"], ids=["in the middle", "before the start"])
    async def test_one_that_lives_and_does_not_move_is_waited_for_so_long(
        self, place: Place, blob: Blob, worker: Worker, then: str
    ) -> None:
        with leader(place, blob, then) as process:
            assert process.heard() == "there"
            with pytest.raises(Unavailable) as caught:
                await read_all(await blob.reader(worker, stall=0.2))
            assert caught.value.headers["Retry-After"]
            assert blob.asked == []

    async def test_one_that_waits_for_its_turn_is_not_stuck(self, place: Place, blob: Blob) -> None:
        place.most_fills = 1
        worker = await place.worker()
        turn = place.folder.spool.slot(0)
        assert turn is not None
        with leader(place, blob, "folder.spool.discard(digest)") as process:
            assert process.heard() == "there"
            opening = asyncio.create_task(blob.reader(worker, stall=0.1))
            await asyncio.sleep(0.5)
            assert not opening.done()
        turn.release()
        assert await read_all(await opening) == CONTENT


async def test_a_partial_from_before_the_last_boot_is_not_gone_on_with(
    place: Place, blob: Blob, worker: Worker
) -> None:
    partial = place.folder.spool.create(blob.digest, len(CONTENT))
    os.pwrite(partial.fd, CONTENT[:MIB], 0)
    partial.close()
    note = place.folder.spool.path(blob.digest).with_suffix(".json")
    note.write_text(note.read_text().replace("boot", "shoe"))
    assert await read_all(await blob.reader(worker)) == CONTENT
    assert blob.asked == [0]


async def test_one_that_could_not_put_it_into_the_store_is_not_believed(
    place: Place, blob: Blob, worker: Worker
) -> None:
    """Another process sealed the file, failed to store it and removed it: the next fill holds its end back again."""
    with leader(place, blob, "os.pwrite(partial.fd, content, 0)") as process:
        assert process.heard() == "there"
        early = await blob.reader(worker)
        gate = Gate()
        blob.plays(Act(content=CONTENT[:-1] + b"!", gates={MIB: gate}))
        folder = Folder(place.folder.directory)
        partial = folder.spool.follow(blob.digest)
        assert partial is not None
        partial.seal()
        await asyncio.sleep(0.1)
        folder.spool.discard(blob.digest)
        process.kill()
    late = bytearray()
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    reader = await blob.reader(worker)
    gate.open()
    with pytest.raises(ProxyError):
        await read_into(late, reader)
    assert len(late) <= len(CONTENT) - HELD_BACK
    early.close()
    partial.close()
