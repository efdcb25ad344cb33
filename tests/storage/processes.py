"""Other processes, for what only happens between several: they run a few lines, say a word, and wait to be killed."""

import os
import select
import subprocess
import sys
import textwrap
from types import TracebackType
from typing import Final, Self

_PATIENCE: Final = 30.0  # seconds until a process that says nothing is a failure

_PRELUDE: Final = """
import sys
def say(word):
    print(word, flush=True)
def wait():
    sys.stdin.read()
"""


class Process:
    """A Python process that runs ``code``, in which ``say(word)`` tells us something and ``wait()`` waits for its end.

    It is gone when the ``with`` block ends.
    """

    def __init__(self, code: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._said = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def heard(self) -> str:
        """The next word that it says; an empty one: it has ended."""
        if self._process.stdout is None:
            raise AssertionError("it has no output")
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE)
            assert ready, "it says nothing"
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                return ""
            self._said += piece
        word, _, self._said = self._said.partition(b"\n")
        return word.decode()

    def kill(self) -> None:
        """End it as a crash would: SIGKILL."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
