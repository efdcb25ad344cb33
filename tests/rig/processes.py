"""Child processes with bounds: started by argument list, logged to a file, ended by their own id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


class Unfinished(AssertionError):
    """Something did not happen within its bound. The text ends with the log of the process concerned."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended: its exit code, and what it printed."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def check(self) -> Self:
        """The same, if the command succeeded.

        :raises AssertionError: it failed; the text holds all that it printed.
        """
        assert self.returncode == 0, f"{' '.join(self.argv)} ended with {self.returncode}:\n{self.output}"
        return self


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
) -> Completed:
    """Run a command to its end. `env` adds to this process's environment.

    :raises subprocess.TimeoutExpired: it did not end within `timeout` seconds, and was killed.
    """
    command = tuple(str(part) for part in argv)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        env={**os.environ, **(env or {})},
        input=stdin,
        cwd=cwd,
        check=False,
    )
    return Completed(command, done.returncode, done.stdout, done.stderr)


class Process:
    """A child in a process group of its own, so that its children end with it."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.argv = tuple(str(part) for part in argv)
        self.log_file = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @classmethod
    def started(
        cls,
        argv: Sequence[str | Path],
        ready: Callable[[], bool],
        what: str,
        *,
        log: Path,
        timeout: float = 15,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        """One that is `ready`.

        :raises Unfinished: it ended, or was not ready within `timeout` seconds, and has been killed.
        """
        process = cls(argv, log=log, env=env, cwd=cwd)
        try:
            process.wait_until(ready, what, timeout)
        except BaseException:
            process.kill()
            raise
        return process

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        """None while it runs; -N if signal N ended it."""
        return self._child.poll()

    def children(self) -> tuple[int, ...]:
        """The ids of its direct children."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return tuple(sorted(int(pid) for task in tasks for pid in task.read_text().split()))

    def wait_until(self, happened: Callable[[], bool], what: str, timeout: float = 15) -> None:
        """Wait for `happened` while the process lives.

        :raises Unfinished: the process ended, or `timeout` seconds passed.
        """
        deadline = time.monotonic() + timeout
        while not happened():
            if self.returncode is not None:
                raise Unfinished(f"{self.argv[0]} ended with {self.returncode} before {what}:\n{self.log}")
            if time.monotonic() > deadline:
                raise Unfinished(f"{self.argv[0]}: no {what} within {timeout} s:\n{self.log}")
            time.sleep(0.02)

    def wait(self, timeout: float = 15) -> int:
        """Its exit code.

        :raises Unfinished: it still runs after `timeout` seconds.
        """
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Unfinished(f"{self.argv[0]} still runs after {timeout} s:\n{self.log}") from None

    def stop(self, timeout: float = 10) -> int:
        """Ask it to end (SIGTERM), and kill what is left of its group after `timeout` seconds."""
        if self.returncode is None:
            self._child.terminate()
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        return self.kill()

    def kill(self) -> int:
        """SIGKILL for it and all its group; its exit code."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self._child.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def command_of(pid: int) -> bytes:
    """A process's command line, its parts ended by NUL; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def accepts(port: int) -> bool:
    """Whether something listens on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def wait_for(happened: Callable[[], bool], what: str, timeout: float = 15) -> None:
    """Wait for something that belongs to no process of ours.

    :raises Unfinished: `timeout` seconds passed.
    """
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            raise Unfinished(f"no {what} within {timeout} s")
        time.sleep(0.02)
