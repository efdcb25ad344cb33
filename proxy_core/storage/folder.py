"""The one folder that a server keeps everything in.

::

    blobs/        complete blobs, by digest
    partial/      blobs on their way
    locks         locks between processes; never removed
    index.sqlite  the index
    token-signing-key.pem
"""

import os
from pathlib import Path

from proxy_core.errors import StorageError
from proxy_core.storage.blobs.filesystem import FilesystemBlobs, unwritable
from proxy_core.storage.blobs.room import Room
from proxy_core.storage.blobs.spool import Spool
from proxy_core.storage.locks import Lock, Locks


class Folder:
    """A storage folder and what is in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.locks = Locks(directory / "locks")
        self.blobs = FilesystemBlobs(directory / "blobs")
        self.spool = Spool(directory / "partial", self.locks)

    def room(self, max_size: int, min_free: int | None) -> Room:
        return Room(self.directory, self.spool, max_size, min_free)

    def prepare(self) -> None:
        """Make the folder, and see that it can be used.

        :raises StorageError: it can not be made, read or written.
        """
        for directory in (self.directory, self.directory / "blobs", self.directory / "partial"):
            try:
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise unwritable(directory, error) from error
        self.check()

    def check(self) -> None:
        """:raises StorageError: the folder can not be written now."""
        probe = self.directory / f".probe-{os.getpid()}"
        try:
            probe.touch(mode=0o600)
            probe.unlink()
        except OSError as error:
            raise unwritable(self.directory, error) from error

    def serve(self) -> Lock:
        """The right to run a server on this folder; it ends with the process.

        :raises StorageError: a server runs on it already.
        """
        lock = self.locks.acquire("server")
        if lock is None:
            raise StorageError(
                f"Another server runs on {self.directory}.",
                "Stop it first, or give this one a storage.directory of its own.",
            )
        return lock
