"""What a fill is made of: where a blob comes from, what was ordered, and how a fill can end without it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy_core.reference import Digest


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
