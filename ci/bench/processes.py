"""Processes that the benchmark starts, what Linux tells about them, and their certain end."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 10.0
KILOBYTE = 1024


class BenchError(Exception):
    """The rig itself failed: there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Started:
    """A running process and how long it took from its start until it was ready, in seconds."""

    pid: int
    ready_seconds: float


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    folder: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    patience: float = 30.0,
) -> Iterator[Started]:
    """Runs `command` in `folder` from its readiness to the end of the block; its output goes to `output.log` there.

    :raises BenchError: it ended by itself or was not ready within `patience` seconds.
    """
    with (folder / "output.log").open("ab") as output:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_ready(process, ready, patience, folder / "output.log")
            yield Started(process.pid, time.monotonic() - start)
        finally:
            _stop(process)


def _await_ready(process: "subprocess.Popen[bytes]", ready: Callable[[], bool], patience: float, log: Path) -> None:
    limit = time.monotonic() + patience
    while not ready():
        if process.poll() is not None:
            raise BenchError(f"{process.args!r} ended with {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > limit:
            raise BenchError(f"{process.args!r} was not ready after {patience:.0f} s:\n{_tail(log)}")
        time.sleep(0.005)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Asks the process to end; whatever is left of its session after a while is killed."""
    family = family_of(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)
    limit = time.monotonic() + STOP_SECONDS
    while any(_lives(pid) for pid in family) and time.monotonic() < limit:
        time.sleep(0.005)


def _lives(pid: int) -> bool:
    return peak_rss(pid) > 0  # a zombie has no memory


def family_of(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    family = [pid]
    for parent in family:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                family.extend(int(child) for child in (thread / "children").read_text().split())
    return family


def workers_of(pid: int) -> list[int]:
    """The processes that serve: the descendants of `pid`, or `pid` itself if it has none."""
    return family_of(pid)[1:] or [pid]


def peak_rss(pid: int) -> int:
    """The largest resident memory of a process since its start or the last `reset_peak`, in bytes; 0: it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KILOBYTE
    return 0


def reset_peak(pid: int) -> None:
    """Lets the peak count from now on (proc(5): 5 written to clear_refs)."""
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def wait_until_quiet(pids: Sequence[int], *, patience: float = 60.0) -> None:
    """Returns when the processes used (nearly) no CPU for 0.3 s, so that nobody's leftover work slows the next one.

    :raises BenchError: they are still busy after `patience` seconds.
    """
    limit = time.monotonic() + patience
    before = _cpu_ticks(pids)
    while time.monotonic() < limit:
        time.sleep(0.3)
        after = _cpu_ticks(pids)
        if after - before <= 2:
            return
        before = after
    raise BenchError(f"the processes {list(pids)} do not come to rest")


def _cpu_ticks(pids: Sequence[int]) -> int:
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime and stime
    return ticks


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports of the loopback that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
