"""Log lines: gathered for a moment, written whole, never in the way of a request."""

import os
import stat
import threading
from collections import deque
from typing import Final

_PIPE_BUF: Final = 4096  # up to so many bytes a write to a pipe is one piece, beside those of other processes
_FILE_BUF: Final = 64 * 1024
_ENOUGH: Final = 32 * 1024  # bytes that are written without waiting for a flush
_MOST: Final = 4 * 1024 * 1024  # bytes that wait; what comes then is dropped
_PATIENCE: Final = 2.0  # seconds that a closing writer waits for its reader


class LineWriter:
    """Writes lines to a file descriptor that several processes share, in a thread of its own.

    When nobody takes the lines, they are dropped and counted; who logs never waits. The descriptor stays a blocking
    one: it is shared with other processes, and a terminal, which would be surprised.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._piece = _FILE_BUF if stat.S_ISREG(os.fstat(fd).st_mode) else _PIPE_BUF
        self._lines: deque[bytes] = deque()
        self._taken = 0  # bytes, by who logs
        self._done = 0  # bytes, by the thread
        self._closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        self.dropped = 0  # lines

    def write(self, line: bytes) -> None:
        """Take a line, with its line end. Always from the same thread."""
        waiting = self._taken - self._done
        if waiting > _MOST:
            self.dropped += 1
            return
        self._lines.append(line)
        self._taken += len(line)
        if waiting > _ENOUGH:
            self._wake.set()

    def flush(self) -> None:
        """Have what waits written soon."""
        self._wake.set()

    def close(self) -> None:
        """Write what waits, if somebody takes it in a moment."""
        self._closing = True
        self._wake.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not (self._closing and not self._lines):
            self._wake.wait()
            if not self._closing:
                self._wake.clear()
            while self._lines:
                self._put(self._next_piece())

    def _next_piece(self) -> bytes:
        """As many whole lines as make one write."""
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= self._piece:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        return b"".join(lines)

    def _put(self, piece: bytes) -> None:
        self._done += len(piece)
        while piece:
            try:
                piece = piece[os.write(self._fd, piece) :]
            except OSError:  # nobody reads any more, or the disk is full
                self.dropped += piece.count(b"\n")
                return
