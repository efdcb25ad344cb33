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
        self._batch: list[bytes] = []  # whole lines that will be one piece
        self._size = 0  # bytes of the batch
        self._pieces: deque[bytes] = deque()  # for the thread
        self._taken = 0  # bytes, by who logs
        self._done = 0  # bytes, by the thread
        self._closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        self.dropped = 0  # lines

    def write(self, line: bytes) -> None:
        """Take a line, with its line end. Always from the same thread."""
        if self._size + len(line) > self._piece:
            self._hand_over()
        self._batch.append(line)
        self._size += len(line)

    def flush(self) -> None:
        """Have what waits written soon."""
        self._hand_over()
        self._wake.set()

    def close(self) -> None:
        """Write what waits, if somebody takes it in a moment."""
        self._hand_over()
        self._closing = True
        self._wake.set()
        self._thread.join(_PATIENCE)

    def _hand_over(self) -> None:
        """The thread gets pieces, not lines: the less it does, the less it competes for the interpreter."""
        if not self._batch:
            return
        waiting = self._taken - self._done
        if waiting > _MOST:
            self.dropped += len(self._batch)
        else:
            self._pieces.append(b"".join(self._batch))
            self._taken += self._size
        self._batch.clear()
        self._size = 0
        if waiting > _ENOUGH:
            self._wake.set()

    def _run(self) -> None:
        while not (self._closing and not self._pieces):
            self._wake.wait()
            if not self._closing:
                self._wake.clear()
            while self._pieces:
                self._put(self._pieces.popleft())

    def _put(self, piece: bytes) -> None:
        self._done += len(piece)
        while piece:
            try:
                piece = piece[os.write(self._fd, piece) :]
            except OSError:  # nobody reads any more, or the disk is full
                self.dropped += piece.count(b"\n")
                return
