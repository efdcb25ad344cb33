"""What the answer to a client reads from: a growing file, or, where nothing can be kept, the upstream itself."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from proxy_core.cache.filling.fill import HELD_BACK, Fill
from proxy_core.cache.filling.source import BlobSource, ByteStream, NoRoom, Order
from proxy_core.errors import ProxyError, UpstreamBroken
from proxy_core.reference import Digest
from proxy_core.storage.blobs.filesystem import read_file

_NEWS = 0.05  # seconds after which a reader looks for itself
_BUFFER = 256 * 1024


class BlobReader(Protocol):
    """An open blob, at whatever stage of its life. ``size`` is ``None`` while nobody knows it."""

    @property
    def size(self) -> int | None: ...

    async def read(self, offset: int, length: int) -> bytes:
        """At least one and up to ``length`` bytes from ``offset``, as soon as they may be given out; ``b""`` only at
        the end.

        :raises UpstreamFailure: the rest will not come, or the digest is wrong.
        :raises ProxyError: the bytes can not be read.
        """

    def close(self) -> None: ...


class FillingBlob:
    """A reader of a blob that is being filled, at its own pace, from any offset.

    When the file can not be filled on (the disk is full), or another file took its place, it goes on from the
    upstream itself, and compares: a client never gets bytes of two kinds.
    """

    def __init__(self, fill: Fill, order: Order, source: BlobSource, executor: Executor) -> None:
        if fill.partial is None:
            raise AssertionError("the fill has not begun")
        self._fill = fill
        self._order = order
        self._source = source
        self._executor = executor
        self._inode = fill.partial.inode
        self._fd = os.dup(fill.partial.fd)
        self.size = fill.partial.total
        self._direct: PassedThrough | None = None

    async def read(self, offset: int, length: int) -> bytes:
        fill = self._fill
        while self._direct is None:
            if self._cut():
                given = (os.dup(self._fd), offset)
                self._direct = PassedThrough(self._order, self._source, self._executor, self.size, given)
                break
            readable = fill.readable
            if offset < readable:
                data = await read_file(self._fd, offset, min(length, readable - offset))
                if data:
                    return data
            if fill.sealed and offset >= fill.published:
                return b""
            if fill.failure is not None and not fill.sealed:
                raise fill.failure
            await fill.changed(_NEWS)
            fill.look()
        return await self._direct.read(offset, length)

    def _cut(self) -> bool:
        """Whether the rest will never come in this file."""
        fill = self._fill
        if fill.partial is None or fill.partial.inode != self._inode:
            return True
        return not fill.sealed and (fill.stored or isinstance(fill.failure, NoRoom))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._direct:
            self._direct.close()


class PassedThrough:
    """A reader straight from the upstream, for one client, keeping nothing. It reads forward only.

    It always takes the blob from its first byte, so that the last bytes go out only when the digest of all is right.

    :param executor: where to wait for the upstream.
    :param given: a file with the bytes that the client has already, and how many these are; they must be the same.
    """

    def __init__(
        self,
        order: Order,
        source: BlobSource,
        executor: Executor,
        size: int | None,
        given: tuple[int, int] | None = None,
    ) -> None:
        self.size = size
        self._order = order
        self._source = source
        self._executor = executor
        self._given = given
        self._stack = contextlib.ExitStack()
        self._stream: ByteStream | None = None
        self._hasher = hashlib.new(order.digest.algorithm)
        self._position = 0  # of the first byte in _pending
        self._pending = bytearray()
        self._ended = False
        self._buffer = memoryview(bytearray(_BUFFER))
        self._work: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Ask the upstream, so that :attr:`size` is known.

        :raises UpstreamFailure: it does not give the blob.
        """
        if self._stream is None:
            await self._in_thread(self._open)

    async def read(self, offset: int, length: int) -> bytes:
        await self.start()
        while True:
            kept = 0 if self._ended else HELD_BACK
            end = self._position + len(self._pending) - kept
            if offset < end:
                del self._pending[: offset - self._position]
                self._position = offset
                return bytes(memoryview(self._pending)[: min(length, end - offset)])
            if self._ended:
                return b""
            skip = min(offset, max(end, self._position)) - self._position
            del self._pending[:skip]
            self._position += skip
            await self._in_thread(self._advance)

    def close(self) -> None:
        if self._stream:
            self._stream.abort()
        if self._work and not self._work.done():  # the client left while a thread reads for it
            self._work.add_done_callback(self._release)
        else:
            self._release()

    async def _in_thread(self, step: Callable[[], None]) -> None:
        self._work = asyncio.get_running_loop().run_in_executor(self._executor, step)
        await asyncio.shield(self._work)

    def _release(self, work: "asyncio.Future[None] | None" = None) -> None:
        if work and not work.cancelled():
            work.exception()  # nobody waits for it any more
        self._stack.close()
        self._forget_given()

    def _open(self) -> None:
        self._stream = self._stack.enter_context(self._source.open_blob(self._order.path, self._order.digest))
        if self._stream.total is not None:
            self.size = self._stream.total

    def _advance(self) -> None:
        """Take one more piece from the upstream."""
        if self._stream is None:
            raise AssertionError("not started")
        count = self._stream.readinto(self._buffer)
        chunk = self._buffer[:count]
        if not count:
            if self._hasher.hexdigest() != self._order.digest.hex:
                raise _wrong(self._order.digest)
            self._ended = True
            return
        self._compare(chunk)
        self._hasher.update(chunk)
        self._pending += chunk

    def _compare(self, chunk: memoryview) -> None:
        if self._given is None:
            return
        fd, size = self._given
        position = self._position + len(self._pending)
        known = min(len(chunk), size - position)
        if known > 0 and os.pread(fd, known, position) != chunk[:known]:
            raise _wrong(self._order.digest)
        if position + len(chunk) >= size:
            self._forget_given()

    def _forget_given(self) -> None:
        if self._given:
            os.close(self._given[0])
            self._given = None


def _wrong(digest: Digest) -> ProxyError:
    return UpstreamBroken(
        f"The upstream sent other bytes than {digest} stands for.",
        "Nothing was kept. Pull again; if it stays, the upstream's copy is damaged.",
    )
