"""The life of one blob's fill in this process: it leads when it can, else it follows who does."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, Protocol

from proxy_core.cache.filling.leader import Leader
from proxy_core.errors import ProxyError, Unavailable
from proxy_core.reference import Digest
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from proxy_core.storage.blobs.spool import Partial, Spool
from proxy_core.storage.locks import Lock

#: The last bytes of a body are given out only when the digest of the whole is right.
HELD_BACK: Final = 64 * 1024

_LOOK: Final = 0.01  # seconds between two looks at a file that another process fills
_STILL: Final = 0.02  # seconds without growth after which a follower asks whether the leader lives


class Slots(Protocol):
    """The places for fills that run at once, over all processes."""

    async def take(self) -> Lock: ...

    def full(self) -> bool: ...


class Fill:
    """One blob on its way into the store. :meth:`run` is a task of its own; it belongs to no client.

    Readers look at :attr:`partial`, :attr:`sealed` and :attr:`failure`, and wait with :meth:`beyond`.

    :param stall: seconds without growth after which a leader in another process counts as stuck.
    """

    def __init__(
        self,
        digest: Digest,
        spool: Spool,
        store: FilesystemBlobs,
        slots: Slots,
        executor: Executor,
        lead: Callable[[Callable[[Partial], None], Callable[[], None]], Leader],
        stall: float,
    ) -> None:
        self.digest = digest
        self.partial: Partial | None = None
        self.sealed = False
        self.published = 0
        self.stored = False  # it is in the store: open it there
        self.size = 0  # once it is stored
        self.led = False
        self.failure: Exception | None = None
        self._spool = spool
        self._store = store
        self._slots = slots
        self._executor = executor
        self._lead = lead
        self._stall = stall
        self._leader: Leader | None = None
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Until the blob is in the store, or can not be. Never raises but when cancelled."""
        try:
            still_since = self._loop.time()
            while not self.stored:
                if blob := await self._store.open(self.digest):
                    self.size = blob.size
                    blob.close()
                    self.stored = True
                elif lock := self._spool.lead(self.digest):
                    await self._run_leader(lock)
                elif self.sealed:  # its leader is about to put it into the store
                    await asyncio.sleep(_LOOK)
                elif partial := self._spool.follow(self.digest):
                    self._attach(partial)
                    await self._follow(partial)
                    still_since = self._loop.time()
                else:  # the leader waits for its turn or for the upstream's first answer
                    if self._loop.time() - still_since > self._stall:
                        if not self._slots.full():
                            raise _stuck(self.digest)
                        still_since = self._loop.time()
                    await asyncio.sleep(_LOOK)
        except Exception as error:
            self.failure = error
        finally:
            self.look()
            if not self.stored and self.failure is None:
                self.failure = Unavailable("This process stops.", "Pull again: another one takes over.")
            self._notify()

    def abort(self) -> None:
        """Stop leading; what is filled so far stays for whoever leads next."""
        if self._leader:
            self._leader.abort()

    def look(self) -> None:
        """Bring what readers see up to date."""
        if self.partial and self.partial.fd >= 0 and not self.sealed:
            growth = self.partial.look()
            self.published, self.sealed = growth.size, growth.sealed

    @property
    def readable(self) -> int:
        """Up to where readers may read: all when the digest is right, else all but the last bytes of the body."""
        if self.sealed or self.partial is None:
            return self.published
        end = self.partial.total
        return min(self.published, end - HELD_BACK) if end is not None else self.published - HELD_BACK

    @property
    def over(self) -> bool:
        return self.stored or self.failure is not None

    async def changed(self, timeout: float) -> None:
        """Wait for news, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    def close(self) -> None:
        if self.partial:
            self.partial.close()

    async def _run_leader(self, lock: Lock) -> None:
        try:
            slot = await self._slots.take()
            try:
                self._leader = self._lead(self._started, self._grown)
                work = self._loop.run_in_executor(self._executor, self._leader.run)
                try:
                    self.size = await asyncio.shield(work)
                except asyncio.CancelledError:
                    self._leader.abort()
                    await asyncio.wait([work])
                    raise
                self.led = self.stored = True
            finally:
                slot.release()
        finally:
            lock.release()

    async def _follow(self, partial: Partial) -> None:
        """Watch a file that another process fills, until it is sealed or its leader is gone."""
        size, since = -1, self._loop.time()
        while not self.sealed:
            growth = partial.look()
            if growth.abandoned:
                return
            now = self._loop.time()
            if growth.size != size or growth.sealed:
                size, since = growth.size, now
                self.look()
                self._notify()
            elif now - since > self._stall:
                raise _stuck(self.digest)
            elif now - since > _STILL and (lock := self._spool.lead(self.digest)):
                lock.release()
                return
            await asyncio.sleep(_LOOK)

    def _attach(self, partial: Partial) -> None:
        """Readers of another inode than this one see that theirs is not this: its bytes may not be the same."""
        if self.partial and self.partial is not partial:
            self.partial.close()
        self.partial = partial
        self.published, self.sealed = 0, False
        self.look()
        self._notify()

    def _started(self, partial: Partial) -> None:
        self._loop.call_soon_threadsafe(self._attach, partial)

    def _grown(self) -> None:
        self._loop.call_soon_threadsafe(self._news)

    def _news(self) -> None:
        self.look()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _stuck(digest: Digest) -> ProxyError:
    return Unavailable(
        f"The fill of {digest} by another process does not move.",
        "Pull again; if it stays, restart the proxy.",
        headers={"Retry-After": "5"},
    )
