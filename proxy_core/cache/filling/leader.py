"""The one who fills: from the upstream's stream into the growing file, hashed on the way, in two threads."""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable

from proxy_core.cache.filling.hashing import Hashing
from proxy_core.cache.filling.refusals import broken, contradictory, misplaced, too_large, too_long, wrong_digest
from proxy_core.cache.filling.source import Aborted, BlobSource, ByteStream, NoRoom, Order
from proxy_core.errors import StorageError
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from proxy_core.storage.blobs.room import Room
from proxy_core.storage.blobs.spool import Partial, Spool
from proxy_core.upstream import FailureKind, UpstreamFailure

_BUFFER = 1024 * 1024
_NEWS_BYTES = 256 * 1024  # readers are told of growth when so much has come,
_NEWS_SECONDS = 0.005  # or after so long
_PATIENCE = 4  # attempts in a row that bring nothing
_BACKOFF = 0.2  # seconds; doubled each time


class Leader:
    """Fills one blob. :meth:`run` belongs in a thread; it needs the lock of the digest.

    :param started: called with the partial once its length is known.
    :param grown: called when readers have more to read, or when the blob is sealed.
    """

    def __init__(
        self,
        order: Order,
        source: BlobSource,
        spool: Spool,
        store: FilesystemBlobs,
        room: Room,
        max_size: int,
        *,
        started: Callable[[Partial], None],
        grown: Callable[[], None],
    ) -> None:
        self._order = order
        self._source = source
        self._spool = spool
        self._store = store
        self._room = room
        self._max_size = max_size
        self._started = started
        self._grown = grown
        self._aborted = threading.Event()
        self._stream: ByteStream | None = None

    def abort(self) -> None:
        """Stop soon. From any thread."""
        self._aborted.set()
        if stream := self._stream:
            stream.abort()

    def run(self) -> int:
        """Fill, seal, and put into the store. Returns the blob's size.

        :raises UpstreamFailure: the upstream can not give the blob; nothing is kept that is not known to be right.
        :raises NoRoom: it can not be kept here.
        :raises Aborted: see :meth:`abort`.
        """
        digest = self._order.digest
        with contextlib.suppress(FileNotFoundError):  # who had the lock before us may have put it there
            return int(self._store.path(digest).stat().st_size)
        try:
            partial = self._spool.resume(digest)
        except StorageError as error:
            raise NoRoom(error.cause) from error
        if partial is not None:
            self._started(partial)
            if partial.look().sealed:  # its leader died between seal and rename
                return self._commit(partial)
        try:
            return self._download(partial)
        except _Contradiction:
            # Another length or other bytes than before: what is here is not to be trusted. Once anew, then no more.
            self._spool.discard(digest)
        try:
            return self._download(None)
        except _Contradiction as error:
            self._spool.discard(digest)
            raise contradictory(digest) from error

    def _download(self, partial: Partial | None) -> int:
        hashing: Hashing | None = None
        failures, ranged = 0, True
        try:
            while True:
                offset = partial.look().size if partial else 0
                if partial and hashing is None:
                    hashing = self._hash(partial, offset)
                try:
                    if partial and hashing and ranged and offset == partial.total:  # only its hash is not known yet
                        return self._finish(partial, hashing, offset)
                    with self._source.open_blob(
                        self._order.path, self._order.digest, offset if ranged else 0
                    ) as stream:
                        self._listen(stream)
                        if partial is None:
                            partial = self._create(stream.total if stream.total is not None else self._order.size)
                            self._started(partial)
                        hashing = hashing or self._hash(partial, offset)
                        end = self._copy(stream, partial, offset, hashing)
                    if partial.total is None or end == partial.total:
                        return self._finish(partial, hashing, end)
                    raise broken(self._order.digest, f"ended after {end} of {partial.total} bytes")
                except UpstreamFailure as failure:
                    if self._aborted.is_set():
                        raise Aborted from failure
                    if failure.kind is FailureKind.INVALID and offset and ranged:
                        ranged = False  # it can not go on in the middle: from the start, and what we have is compared
                        continue
                    if failure.kind is not FailureKind.OUTAGE or partial is None:
                        raise
                    failures = 1 if partial.look().size > offset else failures + 1
                    if failures > _PATIENCE:
                        raise
                    if self._aborted.wait(_BACKOFF * 2 ** (failures - 1)):
                        raise Aborted from failure
        except OSError as error:
            self._spool.discard(self._order.digest)
            raise NoRoom(f"a blob can not be written: {error.strerror}") from error
        except UpstreamFailure as failure:
            if failure.kind in (FailureKind.INVALID, FailureKind.NOT_FOUND):
                self._spool.discard(self._order.digest)
            raise
        finally:
            self._stream = None
            if hashing:
                hashing.stop()

    def _listen(self, stream: ByteStream) -> None:
        """From now on :meth:`abort` ends the waiting for this stream's bytes."""
        self._stream = stream
        if self._aborted.is_set():
            raise Aborted

    def _hash(self, partial: Partial, size: int) -> Hashing:
        hashing = Hashing(partial.fd, self._order.digest.algorithm)
        hashing.advance(size)
        return hashing

    def _create(self, total: int | None) -> Partial:
        if refusal := self._room.refusal(total):
            raise NoRoom(refusal)
        return self._spool.create(self._order.digest, total)

    def _copy(self, stream: ByteStream, partial: Partial, offset: int, hashing: Hashing) -> int:
        """Append the stream's bytes from ``offset`` on. Returns how long the file is then."""
        if partial.total is not None and stream.total not in (None, partial.total):
            raise _Contradiction
        if stream.start > offset:
            raise misplaced(self._order.digest)
        buffer = memoryview(bytearray(_BUFFER))
        position = stream.start
        told_size, told_at = offset, 0.0
        while count := stream.readinto(buffer):
            if self._aborted.is_set():
                raise Aborted
            chunk = buffer[:count]
            if position < offset:  # the upstream began anew: these we have, and they must be the same
                known = min(count, offset - position)
                if os.pread(partial.fd, known, position) != chunk[:known]:
                    raise _Contradiction
                chunk = chunk[known:]
                position += known
            if position + len(chunk) > self._max_size:
                raise too_large(self._order.digest, self._max_size)
            if partial.total is not None and position + len(chunk) > partial.total:
                raise too_long(self._order.digest, partial.total)
            _write(partial.fd, chunk, position)
            position += len(chunk)
            hashing.advance(position)
            now = time.monotonic()
            if position - told_size >= _NEWS_BYTES or now - told_at >= _NEWS_SECONDS:
                told_size, told_at = position, now
                self._grown()
        return position

    def _finish(self, partial: Partial, hashing: Hashing, size: int) -> int:
        if hashing.digest(size) != self._order.digest.hex:
            raise wrong_digest(self._order.digest)
        partial.seal()
        self._grown()
        return self._commit(partial)

    def _commit(self, partial: Partial) -> int:
        size = partial.look().size
        try:
            self._store.adopt_now(self._order.digest, self._spool.path(self._order.digest))
        except StorageError as error:
            self._spool.discard(self._order.digest)
            raise NoRoom(error.cause) from error
        self._spool.committed(self._order.digest)
        return size


class _Contradiction(Exception):
    """The upstream contradicts what it sent before."""


def _write(fd: int, chunk: memoryview, position: int) -> None:
    while chunk:
        written = os.pwrite(fd, chunk, position)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        chunk, position = chunk[written:], position + written
