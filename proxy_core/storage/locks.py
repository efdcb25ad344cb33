"""Locks between processes: bytes of one file, held by an open file description.

The file is never unlinked, so nobody can hold a lock on a name that another has just removed; and the kernel gives a
lock back when its holder dies, however it dies (``fcntl(2)``, "Open file description locks").
"""

import errno
import fcntl
import hashlib
import os
import struct
from pathlib import Path

from proxy_core.storage.blobs.filesystem import unwritable

_SPACE = 1 << 62


class Lock:
    """A held lock; :meth:`release` gives it back."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Locks:
    """All the locks of one storage folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def acquire(self, name: str) -> Lock | None:
        """The lock of this name, or ``None`` when somebody has it: another process, or another part of this one.

        Where the file system became read-only everybody gets every lock: there is nothing left that two could spoil.

        :raises StorageError: the lock file can not be opened.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno == errno.EROFS:
                return Lock(-1)
            raise unwritable(self._path, error) from error
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, name))
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return None
        except OSError as error:
            os.close(fd)
            raise unwritable(self._path, error) from error
        return Lock(fd)


def _flock(kind: int, name: str) -> bytes:
    """``struct flock`` for the one byte that stands for a name."""
    offset = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) % _SPACE
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)
