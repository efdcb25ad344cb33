"""A registry that fails as told: images in, a table of faults, and a record of all that was asked.

    with Upstream() as upstream:
        upstream.add("library/alpine", runnable_index(), "latest")
        upstream.fault("blobs/*", CutAt(1000), times=1)
        ...
        assert upstream.count("GET", "blobs/*") == 2

A thread per connection and plain sockets, because no HTTP server lets one misbehave at the level of bytes.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

import trustme

from tests.rig.challenges import TOKEN_PATH, Challenge
from tests.rig.contents import Contents, refusal
from tests.rig.faults import Fault
from tests.rig.images import Blob, Image, Index
from tests.rig.wire import Answer, Closed, Request, ranged, read, write

_IDLE = 60.0
"""Seconds after which a connection without progress is given up, so that nothing hangs."""


@dataclass(slots=True)
class _Planned:
    pattern: str
    method: str
    faults: tuple[Fault, ...]
    left: int | None


def matches(path: str, pattern: str) -> bool:
    """Whether the path, or its end from some slash on, fits a pattern of the shell's kind."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")


def certificate(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's TLS with a certificate for these names (default: 127.0.0.1 and localhost)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


class Upstream:
    """The faulty registry, on a port that stays the same over `stop` and `start`."""

    def __init__(
        self,
        *,
        challenge: Challenge | None = None,
        tls: ssl.SSLContext | None = None,
        referrers_api: bool = True,
    ) -> None:
        self.contents = Contents(referrers_api=referrers_api)
        self._challenge = challenge
        self._tls = tls
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._sent: Counter[str] = Counter()
        self._planned: list[_Planned] = []
        self._open: dict[int, socket.socket] = {}
        self._connections = 0
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    # What it holds, and what goes wrong

    def add(self, repository: str, content: Image | Index | Blob, *tags: str) -> None:
        """Hold this content; a tag that stood elsewhere moves here."""
        self.contents.add(repository, content, *tags)

    def fault(self, pattern: str, *faults: Fault, times: int | None = None, method: str = "*") -> None:
        """From now on, what fits `pattern` goes wrong: always, or `times` times.

        A request meets the first of the plans that fit it and are not used up, with all its faults. A
        challenge (401) that is part of the ordinary flow neither meets nor uses up a fault.
        """
        with self._lock:
            self._planned.append(_Planned(pattern, method, faults, times))

    def heal(self) -> None:
        """All is well again."""
        with self._lock:
            self._planned.clear()

    # What was asked of it

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that was asked since `forget`, in order, also what was answered with a challenge."""
        with self._lock:
            return tuple(self._requests)

    def asked(self, method: str = "*", pattern: str = "*") -> tuple[Request, ...]:
        """The requests that fit."""
        return tuple(
            request
            for request in self.requests
            if fnmatchcase(request.method, method) and matches(request.path, pattern)
        )

    def count(self, method: str = "*", pattern: str = "*") -> int:
        """How many requests fit."""
        return len(self.asked(method, pattern))

    def sent(self, pattern: str = "*") -> int:
        """How many bytes of bodies went out since `forget`."""
        with self._lock:
            return sum(size for path, size in self._sent.items() if matches(path, pattern))

    def forget(self) -> None:
        """Count from here."""
        with self._lock:
            self._requests.clear()
            self._sent.clear()

    # The server

    def start(self) -> None:
        """Listen (again)."""
        self._stopping = threading.Event()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._run(self._accept, listener, self._stopping)

    def stop(self) -> None:
        """Break all connections and refuse new ones, until `start`."""
        self._stopping.set()
        with self._lock:
            open_ones = [self._listener, *self._open.values()]
        for each in open_ones:
            _break(each)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} did not end"
        self._threads.clear()

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive() or each.ident is None]
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections += 1
                number = self._connections
                self._open[number] = connection
            if stopping.is_set():
                _break(connection)
            self._run(self._converse, number, connection, stopping)

    def _converse(self, number: int, connection: socket.socket, stopping: threading.Event) -> None:
        try:
            connection.settimeout(_IDLE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open[number] = connection
            with connection.makefile("rb") as stream:
                while not stopping.is_set():
                    self._serve(read(stream, number, time.monotonic), connection, stopping)
        except (Closed, OSError):
            pass
        finally:
            with self._lock:
                del self._open[number]
            connection.close()

    def _serve(self, request: Request, connection: socket.socket, stopping: threading.Event) -> None:
        def sent(size: int) -> None:
            with self._lock:
                self._sent[request.path] += size

        with self._lock:
            self._requests.append(request)
        answer = ranged(request, self._answer(request))
        write(connection, answer, head=request.method == "HEAD", stopping=stopping, sent=sent)

    def _answer(self, request: Request) -> Answer:
        if request.path == TOKEN_PATH and self._challenge is not None:
            answer = self._token(request, self._challenge)
        elif self._challenge and (refused := self._challenge.refuse(request, self.url)) is not None:
            return refused
        else:
            answer = self.contents.answer(request)
        for fault in self._faults_of(request):
            answer = fault(request, answer)
        return answer

    def _token(self, request: Request, challenge: Challenge) -> Answer:
        if request.method != "GET":
            return refusal(405, "UNSUPPORTED", "GET only", {"Allow": "GET"})
        return challenge.token(request)

    def _faults_of(self, request: Request) -> tuple[Fault, ...]:
        with self._lock:
            for planned in self._planned:
                fits = fnmatchcase(request.method, planned.method) and matches(request.path, planned.pattern)
                if fits and planned.left != 0:
                    planned.left = None if planned.left is None else planned.left - 1
                    return planned.faults
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _break(connection: socket.socket) -> None:
    # The plain socket's shutdown, also under TLS: no farewell, and it wakes a thread that waits in it.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
