"""All fills of this process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from proxy_core.cache.filling.fill import Fill
from proxy_core.cache.filling.leader import Leader
from proxy_core.cache.filling.readers import BlobReader, FillingBlob, PassedThrough
from proxy_core.cache.filling.source import BlobSource, NoRoom, Order
from proxy_core.reference import Digest
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from proxy_core.storage.blobs.room import Room
from proxy_core.storage.blobs.spool import Partial, Spool
from proxy_core.storage.locks import Lock

_TURN = 0.02  # seconds between two looks for a free place
_MOST_DIRECT = 64  # readers that wait for an upstream at once, as many as it may have connections


class Fills:
    """The fills that this process leads or follows, at most one for each digest.

    :param most: how many blobs may be fetched at once, over all processes of the storage folder.
    :param filled: called with a fill that this process led to its end.
    """

    def __init__(
        self,
        spool: Spool,
        store: FilesystemBlobs,
        room: Room,
        most: int,
        *,
        filled: Callable[[Fill], None],
        failed: Callable[[Fill, Exception], None],
    ) -> None:
        self._spool = spool
        self._store = store
        self._room = room
        self._slots = _Slots(spool, most)
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="fill")
        # Not the event loop's own threads: an upstream that keeps them waiting would keep all the others from them.
        self._direct = ThreadPoolExecutor(_MOST_DIRECT, thread_name_prefix="direct")
        self._filled = filled
        self._failed = failed
        self._fills: dict[Digest, tuple[Fill, asyncio.Task[None]]] = {}

    async def open(self, order: Order, source: BlobSource, *, max_size: int, stall: float) -> BlobReader | None:
        """A reader of the blob while it is filled, as soon as its length is known. ``None``: it is stored by now.

        :raises UpstreamFailure: the upstream does not give the blob.
        """
        fill = self._fill(order, source, max_size, stall)
        while not (fill.over or fill.sealed or self._presentable(fill)):
            await fill.changed(1.0)
        if fill.stored:
            return None
        if isinstance(fill.failure, NoRoom):
            direct = PassedThrough(order, source, self._direct, order.size)
            try:
                await direct.start()
            except BaseException:  # the client left meanwhile, too
                direct.close()
                raise
            return direct
        if fill.failure is not None:
            raise fill.failure
        return FillingBlob(fill, order, source, self._direct)

    def leading(self) -> int:
        """How many fills run in this process now."""
        return len(self._fills)

    def holds(self, digest: Digest) -> bool:
        return digest in self._fills

    async def close(self) -> None:
        """Stop all fills; what they have so far stays for the next process."""
        tasks = [task for _, task in self._fills.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._executor.shutdown(wait=True)
        self._direct.shutdown(wait=True)

    @staticmethod
    def _presentable(fill: Fill) -> bool:
        """From the first byte that may be given out. Until then a failure is a clean error; and so, for a blob that
        would be held back whole anyway, is a wrong digest."""
        return fill.partial is not None and fill.readable > 0

    def _fill(self, order: Order, source: BlobSource, max_size: int, stall: float) -> Fill:
        if running := self._fills.get(order.digest):
            return running[0]
        leader = partial(self._leader, order, source, max_size)
        fill = Fill(order.digest, self._spool, self._store, self._slots, self._executor, leader, stall)
        self._fills[order.digest] = (fill, asyncio.create_task(self._run(fill), name=f"fill {order.digest}"))
        return fill

    def _leader(
        self,
        order: Order,
        source: BlobSource,
        max_size: int,
        started: Callable[[Partial], None],
        grown: Callable[[], None],
    ) -> Leader:
        return Leader(order, source, self._spool, self._store, self._room, max_size, started=started, grown=grown)

    async def _run(self, fill: Fill) -> None:
        try:
            await fill.run()
        finally:
            del self._fills[fill.digest]
            fill.close()
        if fill.led:
            self._filled(fill)
        elif fill.failure is not None:
            self._failed(fill, fill.failure)


class _Slots:
    """Places for fills that run at once; who waits longest in this process gets the next."""

    def __init__(self, spool: Spool, most: int) -> None:
        self._spool = spool
        self._most = most
        self._turn = asyncio.Lock()

    async def take(self) -> Lock:
        async with self._turn:
            while True:
                if lock := self._free():
                    return lock
                await asyncio.sleep(_TURN)

    def full(self) -> bool:
        """Whether all are taken now."""
        lock = self._free()
        if lock:
            lock.release()
        return lock is None

    def _free(self) -> Lock | None:
        return next((lock for number in range(self._most) if (lock := self._spool.slot(number))), None)
