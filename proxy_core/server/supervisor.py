"""The process above the workers: it prepares the folder, starts them, brings them back, and ends them.

granian's own supervisor gives up when a worker dies twice within seconds. This one never does: each place for a worker
is filled again after a pause that grows while its workers die young, and the other places serve on meanwhile.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from proxy_core.errors import ConfigurationError
from proxy_core.server.metrics_folder import metrics_folder
from proxy_core.server.orders import Orders, write_orders
from proxy_core.settings import Server, Settings
from proxy_core.storage.folder import Folder
from proxy_core.telemetry.lines import LineWriter
from proxy_core.telemetry.logs import Event, event_log
from proxy_core.telemetry.metrics import forget_process

_FIRST_PAUSE: Final = 0.1  # seconds before a worker that died is replaced; doubled while its successors die young
_LONGEST_PAUSE: Final = 10.0
_YOUNG: Final = 10.0
# glibc's allocator for workers: few heaps, or what a fill gave back stays with its thread; pieces of bodies from the
# heap, which is kept for the next ones; and what is larger (a login's 19 MiB) given back to the system at once.
_MALLOC: Final = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(2 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 1024 * 1024),
}
_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_AWAITED: Final = _STOP | {signal.SIGCHLD}


def serve(settings: Settings) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP. Returns the exit code.

    :raises StorageError: the storage folder or its index can not be used, or another server uses it.
    :raises ConfigurationError: the address can not be listened on.
    """
    folder = Folder(settings.storage.directory)
    folder.prepare()
    lock = folder.serve()
    try:
        _check_address(settings.server)
        with _signals_kept(), metrics_folder() as folder_of_metrics:
            supervisor = _Supervisor(settings, folder_of_metrics)
            try:
                supervisor.start()  # to load their code takes the workers longer than what is done here meanwhile
                _prepare(folder)
                return supervisor.run()
            finally:
                supervisor.kill()
    finally:
        lock.release()


def _prepare(folder: Folder) -> None:
    from proxy_core.storage.index.migrate import migrate

    migrate(folder.directory)
    folder.spool.clean()


@dataclass(slots=True)
class _Place:
    """A place for a worker."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    briefed: bool = False  # its process knows its orders
    born: float = 0.0
    due: float = 0.0  # when to start the next one
    pause: float = _FIRST_PAUSE


class _Supervisor:
    def __init__(self, settings: Settings, metrics_folder: Path) -> None:
        self._settings = settings
        self._metrics_folder = metrics_folder
        self._readable = os.isatty(sys.stdout.fileno())
        self._lines = LineWriter(sys.stdout.fileno())
        self._event: Event = event_log(self._lines, readable=self._readable, process="supervisor")
        self._places = [_Place(number) for number in range(1, settings.server.workers + 1)]

    def start(self) -> None:
        """Start the workers; they wait for their orders."""
        now = time.monotonic()
        for place in self._places:
            if place.process is None and place.due <= now:
                place.born = now
                try:
                    place.process, place.briefed = _start(), False
                except OSError as error:  # of memory, processes or files there are too few, perhaps for a moment
                    self._try_later(place, now)
                    self._event(
                        "worker_not_started",
                        worker=place.number,
                        cause=error.strerror or str(error),
                        again_in_seconds=place.pause,
                    )

    def kill(self) -> None:
        """End whoever is left."""
        for place in self._places:
            _kill(place)
        self._lines.close()

    def run(self) -> int:
        self._event("server_starts", url=self._settings.server.external_url, workers=len(self._places))
        while True:
            self.start()
            self._brief()
            arrived = signal.sigtimedwait(_AWAITED, self._patience())
            self._notice_deaths()
            if arrived and arrived.si_signo in _STOP:
                break
        self._stop()
        return 0

    def _brief(self) -> None:
        for place in self._places:
            if place.process and not place.briefed:
                orders = Orders(self._settings, self._metrics_folder, self._readable, place.number)
                with contextlib.suppress(BrokenPipeError):  # it died: that is noticed like any other death
                    write_orders(orders, _pipe(place.process))
                place.briefed = True

    def _patience(self) -> float:
        now = time.monotonic()
        return min((max(0.0, place.due - now) for place in self._places if place.process is None), default=60.0)

    def _notice_deaths(self) -> None:
        now = time.monotonic()
        for place in self._places:
            process = place.process
            if process is None or (code := process.poll()) is None:
                continue
            _close(process)
            try:
                forget_process(self._metrics_folder, process.pid)
            except Exception as error:  # whatever its files hold: the others serve on
                self._event("metrics_lost", pid=process.pid, cause=str(error) or type(error).__name__)
            place.process = None
            self._try_later(place, now)
            self._event("worker_died", worker=place.number, pid=process.pid, code=code, again_in_seconds=place.pause)

    @staticmethod
    def _try_later(place: _Place, now: float) -> None:
        place.pause = min(place.pause * 2, _LONGEST_PAUSE) if now - place.born < _YOUNG else _FIRST_PAUSE
        place.due = now + place.pause

    def _stop(self) -> None:
        """Ask all to stop; who has not in time, or when asked a second time, is ended."""
        grace = self._settings.server.stop_grace
        self._event("server_stops", grace_seconds=grace)
        processes = [place.process for place in self._places if place.process]
        for process in processes:
            process.terminate()
        end = time.monotonic() + grace
        while any(process.poll() is None for process in processes) and (left := end - time.monotonic()) > 0:
            arrived = signal.sigtimedwait(_AWAITED, left)
            if arrived and arrived.si_signo in _STOP:
                break
        unfinished = [process.pid for process in processes if process.poll() is None]
        if unfinished:
            self._event("workers_killed", pids=unfinished)


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "proxy_core.server.worker"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={**_MALLOC, **os.environ}, bufsize=0)


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise AssertionError(process)
    return process.stdin


def _close(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        _pipe(process).close()


def _kill(place: _Place) -> None:
    if process := place.process:
        process.kill()
        process.wait()
        _close(process)


def _check_address(server: Server) -> None:
    """See that nobody listens there. The workers share the port, so they would not notice another server on it."""
    try:
        family, *_, address = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise ConfigurationError(
            f"{server.host}:{server.port} can not be listened on: {error.strerror or error}.",
            "Stop whatever listens there, or set another address as server.listen.",
        ) from error


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Signals wait until they are asked for. No thread may be started before, or it would take them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
