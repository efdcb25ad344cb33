"""The spool: where a blob grows until it is whole.

``partial/<digest>`` grows; its size is what readers may see. ``partial/<digest>.json`` says how long it will be, and
which inode since which boot it belongs to: after a power cut the pages of a partial file may be lost though its size is
not, so nothing from before is trusted. A partial whose mode is 0444 is *sealed*: its digest was right. That is a
property of the inode, so it can not race with a rename.
"""

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proxy_core.errors import DigestInvalid
from proxy_core.reference import Digest, parse_digest
from proxy_core.storage.blobs.filesystem import sync_directory, unwritable
from proxy_core.storage.locks import Lock, Locks

_SEALED = 0o444
_GIVEN_UP = 24 * 3600.0  # seconds without growth after which nobody is expected to go on with a partial


@dataclass(frozen=True, slots=True)
class Growth:
    """A look at a partial file: one ``fstat`` tells all."""

    size: int
    sealed: bool
    abandoned: bool  # no name leads to it any more, and it was not verified


class Partial:
    """An open partial file. Who leads the fill writes; whoever follows reads."""

    __slots__ = ("fd", "inode", "total")

    def __init__(self, fd: int, total: int | None) -> None:
        self.fd = fd
        self.inode = os.fstat(fd).st_ino
        self.total = total  # bytes that it will have, where the upstream said so

    def look(self) -> Growth:
        status = os.fstat(self.fd)
        sealed = stat.S_IMODE(status.st_mode) == _SEALED
        return Growth(status.st_size, sealed, status.st_nlink == 0 and not sealed)

    def seal(self) -> None:
        """The digest is right: every reader in every process may have the last bytes now."""
        os.fchmod(self.fd, _SEALED)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Spool:
    """The partial files of one storage folder, and who may write which."""

    def __init__(self, directory: Path, locks: Locks) -> None:
        self._directory = directory
        self._locks = locks

    def lead(self, digest: Digest) -> Lock | None:
        """The right to write the partial of this digest, or ``None``: somebody else has it."""
        return self._locks.acquire(f"fill {digest}")

    def slot(self, number: int) -> Lock | None:
        """One of the places for fills that run at once, or ``None``: it is taken."""
        return self._locks.acquire(f"slot {number}")

    def path(self, digest: Digest) -> Path:
        return self._directory / f"{digest.algorithm}-{digest.hex}"

    def follow(self, digest: Digest) -> Partial | None:
        """The partial of this digest as somebody else fills it, or ``None``: there is none that can be trusted."""
        return self._open(digest, os.O_RDONLY)

    def resume(self, digest: Digest) -> Partial | None:
        """The partial of this digest to go on with. Only for who leads."""
        partial = self._open(digest, os.O_RDWR)
        if partial and partial.total is not None and partial.look().size > partial.total:
            partial.close()
            return None
        return partial

    def create(self, digest: Digest, total: int | None) -> Partial:
        """A new, empty partial in place of whatever is there. Only for who leads.

        :raises OSError: the disk is full, read-only or broken.
        """
        self.discard(digest)
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            note = {"total": total, "inode": os.fstat(fd).st_ino, "boot": _boot_id()}
            self._draft(digest).write_text(json.dumps(note))
            self._draft(digest).rename(self._note(digest))
        except OSError:
            os.close(fd)
            self.discard(digest)
            raise
        return Partial(fd, total)

    def discard(self, digest: Digest) -> None:
        """Remove a partial. Its space is free when its last reader has left. Only for who leads."""
        for path in (self._draft(digest), self._note(digest), self.path(digest)):
            with contextlib.suppress(OSError):  # a read-only disk: the next fill finds out for itself
                path.unlink(missing_ok=True)

    def committed(self, digest: Digest) -> None:
        """The partial was adopted by the store; forget its note."""
        with contextlib.suppress(OSError):
            self._note(digest).unlink(missing_ok=True)
            sync_directory(self._directory)

    def clean(self, given_up: float = _GIVEN_UP) -> int:
        """Remove what nobody fills and nobody can or will go on with, beside running workers. Returns how many.

        :param given_up: seconds without growth after which nobody will.
        """
        removed = 0
        for digest in set(self._digests()):
            lock = self.lead(digest)
            if lock is None:
                continue
            try:
                if not self._is_of_use(digest, time.time() - given_up):
                    self.discard(digest)
                    removed += 1
            finally:
                lock.release()
        return removed

    def size(self) -> int:
        """Bytes that partial files take."""
        total = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._directory):
                with contextlib.suppress(FileNotFoundError):  # it has just become a blob
                    total += entry.stat().st_size
        return total

    def _is_of_use(self, digest: Digest, since: float) -> bool:
        partial = self._open(digest, os.O_RDONLY)
        if partial is None:
            return False
        try:
            return os.fstat(partial.fd).st_ctime >= since  # st_mtime may be a blob's seal already
        finally:
            partial.close()

    def _digests(self) -> Iterator[Digest]:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._directory):
                algorithm, _, rest = entry.name.partition("-")
                with contextlib.suppress(DigestInvalid):
                    yield parse_digest(f"{algorithm}:{rest.partition('.')[0]}")

    def _note(self, digest: Digest) -> Path:
        return self._directory / f"{digest.algorithm}-{digest.hex}.json"

    def _draft(self, digest: Digest) -> Path:
        return self._directory / f"{digest.algorithm}-{digest.hex}.new"

    def _open(self, digest: Digest, flags: int) -> Partial | None:
        path = self.path(digest)
        try:
            fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            if isinstance(error, PermissionError) and flags != os.O_RDONLY:
                return self._open(digest, os.O_RDONLY)  # sealed by one who is not root: nobody has to write it
            raise unwritable(path, error) from error
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no note of ours
            note = json.loads(self._note(digest).read_text())
            if note["inode"] == os.fstat(fd).st_ino and note["boot"] == _boot_id():
                return Partial(fd, note["total"])
        os.close(fd)
        return None


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
