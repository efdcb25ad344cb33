"""How much room there is for blobs."""

import os
from pathlib import Path

from proxy_core.storage.blobs.spool import Spool

_SHARE_FREE = 20  # 5 %
_MOST_FREE = 5 * 1024**3


class Room:
    """Whether another blob may be kept. What may not is passed through uncached.

    Blobs that are being fetched count with what they have so far: as many as are fetched at once may go beyond.

    :param max_size: bytes that blobs and partial files may take together.
    :param min_free: bytes that stay free on the file system; ``None``: 5 % of it, at most 5 GiB.
    """

    def __init__(self, directory: Path, spool: Spool, max_size: int, min_free: int | None) -> None:
        self._directory = directory
        self._spool = spool
        self._max_size = max_size
        self._min_free = min_free
        self.stored = 0  # bytes of the complete blobs, as the index last counted them

    def refusal(self, size: int | None) -> str | None:
        """Why a blob of this size (``None``: not known yet) may not be kept, or ``None``: it may."""
        needed = size or 0
        held = self.stored + self._spool.size()
        if held + needed > self._max_size:
            return f"the cache holds {held} of {self._max_size} bytes (storage.max_size)"
        status = os.statvfs(self._directory)
        free = status.f_bavail * status.f_frsize
        least = self._min_free
        if least is None:
            least = min(_MOST_FREE, status.f_blocks * status.f_frsize // _SHARE_FREE)
        if free - needed < least:
            return f"the disk has {free} bytes free, of which {least} stay free (storage.min_free)"
        return None
