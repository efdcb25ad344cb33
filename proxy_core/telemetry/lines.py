"""Log lines: gathered for a moment, written whole, never in the way of a request."""

import os
import threading
from typing import Final

_PIPE_BUF: Final = 4096  # up to so many bytes a write to a pipe is one piece, beside those of other processes
_MOST_WAITING: Final = 1024 * 1024


class LineWriter:
    """Writes lines to a file descriptor that several processes share. Lines wait until :meth:`flush` or until there is
    enough for a write; a reader that does not keep up makes lines be dropped and counted, not requests wait."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()
        self.dropped = 0

    def write(self, line: bytes) -> None:
        """Take a line, with its line end. From any thread."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _PIPE_BUF:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            lines, self._lines, self._size = self._lines, [], 0
            batch = b""
            for line in lines:
                if len(batch) + len(line) > _PIPE_BUF:
                    self._put(batch)
                    batch = b""
                batch += line
            self._put(batch)

    def _put(self, batch: bytes) -> None:
        while batch:
            try:
                batch = batch[os.write(self._fd, batch) :]
            except BlockingIOError:
                self.dropped += batch.count(b"\n")
                return
            except OSError:  # nobody reads any more
                self.dropped += batch.count(b"\n")
                return
