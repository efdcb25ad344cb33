"""The one who fills: from the upstream's stream into the growing file, hashed on the way, in two threads."""

import contextlib
import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy_core.errors import StorageError
from proxy_core.reference import Digest
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from proxy_core.storage.blobs.room import Room
from proxy_core.storage.blobs.spool import Partial, Spool
from proxy_core.upstream import FailureKind, UpstreamFailure

_BUFFER = 1024 * 1024
_NEWS_BYTES = 256 * 1024  # readers are told of growth when so much has come,
_NEWS_SECONDS = 0.005  # or after so long
_PATIENCE = 4  # attempts in a row that bring nothing
_BACKOFF = 0.2  # seconds; doubled each time


class ByteStream(Protocol):
    """The bytes of a blob as they come: what :class:`proxy_core.upstream.BlobStream` is."""

    @property
    def start(self) -> int: ...

    @property
    def total(self) -> int | None: ...

    def readinto(self, buffer: memoryview) -> int: ...

    def abort(self) -> None: ...


class BlobSource(Protocol):
    """Where a blob comes from. Called in a thread."""

    def open_blob(self, path: str, digest: Digest, offset: int = 0) -> AbstractContextManager[ByteStream]: ...


@dataclass(frozen=True, slots=True)
class Order:
    """A blob to fetch: from which repository, and its size where a manifest says it."""

    digest: Digest
    path: str
    size: int | None


class NoRoom(Exception):
    """The blob can not be kept here: no space, or a disk that takes no writes. It can still be passed through."""


class Aborted(Exception):
    """The process stops; what was filled so far stays for the next one."""


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
            raise _contradictory(digest) from error

    def _download(self, partial: Partial | None) -> int:
        hashing: _Hashing | None = None
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
                    raise _broken(self._order.digest, f"ended after {end} of {partial.total} bytes")
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

    def _hash(self, partial: Partial, size: int) -> "_Hashing":
        hashing = _Hashing(partial.fd, self._order.digest.algorithm)
        hashing.advance(size)
        return hashing

    def _create(self, total: int | None) -> Partial:
        if refusal := self._room.refusal(total):
            raise NoRoom(refusal)
        return self._spool.create(self._order.digest, total)

    def _copy(self, stream: ByteStream, partial: Partial, offset: int, hashing: "_Hashing") -> int:
        """Append the stream's bytes from ``offset`` on. Returns how long the file is then."""
        if partial.total is not None and stream.total not in (None, partial.total):
            raise _Contradiction
        if stream.start > offset:
            raise _misplaced(self._order.digest)
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
                raise _too_large(self._order.digest, self._max_size)
            if partial.total is not None and position + len(chunk) > partial.total:
                raise _too_long(self._order.digest, partial.total)
            _write(partial.fd, chunk, position)
            position += len(chunk)
            hashing.advance(position)
            now = time.monotonic()
            if position - told_size >= _NEWS_BYTES or now - told_at >= _NEWS_SECONDS:
                told_size, told_at = position, now
                self._grown()
        return position

    def _finish(self, partial: Partial, hashing: "_Hashing", size: int) -> int:
        if hashing.digest(size) != self._order.digest.hex:
            raise UpstreamFailure(
                kind=FailureKind.INVALID,
                status=None,
                reason="digest_mismatch",
                cause=f"The upstream sent other bytes than {self._order.digest} stands for.",
                fix="Nothing was kept. Pull again; if it stays, the upstream's copy is damaged.",
            )
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


class _Hashing:
    """A thread that hashes the growing file by reading it: its memory is flat, and the network never waits for it."""

    def __init__(self, fd: int, algorithm: str) -> None:
        self._fd = os.dup(fd)
        self._hasher = hashlib.new(algorithm)
        self._size = 0
        self._last = False
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
        self._thread.start()

    def advance(self, size: int) -> None:
        self._size = size
        self._news.set()

    def digest(self, size: int) -> str:
        """The hash of the whole file; waits until it is done."""
        self._size, self._last = size, True
        self._news.set()
        self._thread.join()
        return self._hasher.hexdigest()

    def stop(self) -> None:
        self._last = True
        self._size = 0
        self._news.set()
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        done = 0
        while True:
            self._news.wait()
            self._news.clear()
            last = self._last
            while done < self._size:
                count = os.preadv(self._fd, (buffer[: min(_BUFFER, self._size - done)],), done)
                if not count:
                    return  # the file was cut beneath us: the digest will not be right
                self._hasher.update(buffer[:count])
                done += count
            if last:
                return


def _write(fd: int, chunk: memoryview, position: int) -> None:
    while chunk:
        written = os.pwrite(fd, chunk, position)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        chunk, position = chunk[written:], position + written


def _broken(digest: Digest, what: str) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.OUTAGE,
        status=None,
        reason="short_body",
        cause=f"The upstream's stream of {digest} {what}.",
        fix="Pull again in a moment.",
    )


def _misplaced(digest: Digest) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="bad_range",
        cause=f"The upstream sent another part of {digest} than it was asked for.",
        fix="Pull again; if it stays, the upstream is damaged.",
    )


def _too_long(digest: Digest, total: int) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="too_long",
        cause=f"The upstream sends more than the {total} bytes that {digest} has.",
        fix="Nothing was kept. Pull again; if it stays, the upstream's copy is damaged.",
    )


def _contradictory(digest: Digest) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="contradictory",
        cause=f"The upstream sends other bytes for {digest} each time it is asked.",
        fix="Nothing was kept. Pull again; if it stays, the upstream is damaged.",
    )


def _too_large(digest: Digest, limit: int) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="too_large",
        cause=f"The blob {digest} is larger than the {limit} bytes that max_blob allows.",
        fix="Raise max_blob of the upstream in the configuration if the image really is that large.",
    )
