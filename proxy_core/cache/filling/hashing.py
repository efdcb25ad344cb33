"""Hashing a file while it grows."""

import hashlib
import os
import threading

_BUFFER = 1024 * 1024


class Hashing:
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
