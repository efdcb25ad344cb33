"""A blob store in a folder: ``blobs/<algorithm>/<first two digits>/<hex>``.

A blob's modification time is its seal: when a verified file is put in, the time is set to a value that follows from
digest and size alone. Whoever writes to the file, truncates it or puts another in its place changes the time, so one
``fstat`` on each open tells whether the bytes are still those that were verified. A file whose seal is broken is read
and hashed before it is served, once: then it is sealed anew, or removed.
"""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

from proxy_core.errors import DigestInvalid, StorageError
from proxy_core.reference import Digest, parse_digest

_HASH_CHUNK = 1024 * 1024


class FileBlob:
    """An open file of a complete blob."""

    __slots__ = ("_fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    async def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        data = await read_file(self._fd, offset, length)
        if len(data) < length:
            raise StorageError("A cached blob became shorter while it was read.", "Pull again: it is fetched anew.")
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class FilesystemBlobs:
    """The store. ``directory`` must be on the file system of the spool, since blobs come by rename."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def open(self, digest: Digest) -> FileBlob | None:
        path = f"{self._directory}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"  # on every pull: no Path is made
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            status = os.fstat(fd)
            right = status.st_mtime_ns == _seal(digest, status.st_size)
            if right or await asyncio.to_thread(_seal_again, fd, digest):
                fd, blob = -1, FileBlob(fd, status.st_size)
                return blob
            await self.delete(digest)
        except BlockingIOError:  # it is being collected
            pass
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            if fd >= 0:
                os.close(fd)
        return None

    async def adopt(self, digest: Digest, path: Path) -> None:
        await asyncio.to_thread(self.adopt_now, digest, path)

    def adopt_now(self, digest: Digest, path: Path) -> None:
        """:meth:`adopt` for a thread that does nothing else meanwhile."""
        target = self.path(digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                status = os.fstat(fd)
                os.utime(fd, ns=(status.st_atime_ns, _seal(digest, status.st_size)))
                os.fsync(fd)
            finally:
                os.close(fd)
            path.rename(target)
            sync_directory(target.parent)
            sync_directory(path.parent)
        except OSError as error:
            raise unwritable(target, error) from error

    async def delete(self, digest: Digest) -> bool:
        try:
            self.path(digest).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unwritable(self.path(digest), error) from error
        return True

    async def delete_unread(self, digest: Digest) -> bool:
        try:
            fd = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unreadable(self.path(digest), error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # readers share a lock
            return await self.delete(digest)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)

    async def digests(self) -> AsyncIterator[tuple[Digest, int, float]]:
        entries = self._entries()
        while batch := await asyncio.to_thread(lambda: list(islice(entries, 256))):
            for entry in batch:
                yield entry

    async def verify(self, digest: Digest) -> bool:
        try:
            fd = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unreadable(self.path(digest), error) from error
        try:
            return await asyncio.to_thread(_seal_again, fd, digest)
        except OSError:  # what the disk does not give back is lost
            return False
        finally:
            os.close(fd)

    def path(self, digest: Digest) -> Path:
        return self._directory / digest.algorithm / digest.hex[:2] / digest.hex

    def _entries(self) -> Iterator[tuple[Digest, int, float]]:
        for path in self._directory.glob("*/*/*"):
            with contextlib.suppress(DigestInvalid, FileNotFoundError):
                status = path.lstat()
                yield parse_digest(f"{path.parent.parent.name}:{path.name}"), status.st_size, status.st_ctime


async def read_file(fd: int, offset: int, length: int) -> bytes:
    """Read without ever making the event loop wait for a disk.

    Pages that are in memory are copied at once; else a thread waits for them. Whether they are is asked of the last
    byte, since the kernel reads ahead in order.
    """
    try:
        try:
            os.preadv(fd, (bytearray(1),), offset + length - 1, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
                raise
            return await asyncio.to_thread(os.pread, fd, length, offset)
        return os.pread(fd, length, offset)
    except OSError as error:
        raise StorageError(f"A cached blob can not be read: {error.strerror}.", "Check the disk.") from error


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unreadable(path: Path | str, error: OSError) -> StorageError:
    return StorageError(f"{path} can not be read: {error.strerror}.", "Check its owner, its mode and the disk.")


def unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} can not be written: {error.strerror}.", "Check its owner, its mode and the disk.")


def _seal(digest: Digest, size: int) -> int:
    """The modification time, in nanoseconds, of a verified file: some moment between 2001 and 2017."""
    mixed = int(digest.hex[:15], 16) ^ size
    seconds, nanoseconds = divmod(mixed, 1_000_000_000)
    return (1_000_000_000 + seconds % 500_000_000) * 1_000_000_000 + nanoseconds


def _seal_again(fd: int, digest: Digest) -> bool:
    """Hash an open file; seal it anew when it is right. Its time is read before, so that a later write still shows."""
    status = os.fstat(fd)
    hasher = hashlib.new(digest.algorithm)
    offset = 0
    while chunk := os.pread(fd, _HASH_CHUNK, offset):
        hasher.update(chunk)
        offset += len(chunk)
    if hasher.hexdigest() != digest.hex:
        return False
    after = os.fstat(fd)
    if after.st_mtime_ns == status.st_mtime_ns and after.st_mtime_ns != _seal(digest, offset):
        with contextlib.suppress(OSError):  # on a read-only disk it is hashed again next time
            os.utime(fd, ns=(after.st_atime_ns, _seal(digest, offset)))
    return True
