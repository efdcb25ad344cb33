"""One connection at a time, at the test's own pace, to a worker process that the test chooses."""

import http.client
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rig.processes import Unfinished
from tests.rig.proxy import Proxy, scopes_in

TRIES = 200
"""Connections made at most until one reaches the wanted worker: the kernel spreads them by chance."""


class Wire:
    """An HTTP/1.1 connection that is read by hand.

    with Wire(proxy) as wire:
        answer = wire.ask(path)
        first = answer.read(1)
    """

    def __init__(self, proxy: Proxy, *, timeout: float = 20, receive_buffer: int | None = None) -> None:
        self.proxy = proxy
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", proxy.port))
        self._http = http.client.HTTPConnection("127.0.0.1", proxy.port)
        self._http.sock = self.socket

    @classmethod
    def to(cls, proxy: Proxy, worker: int, *, timeout: float = 20) -> Self:
        """A connection to this one of the proxy's workers.

        :raises Unfinished: none came there.
        """
        for _ in range(TRIES):
            wire = cls(proxy, timeout=timeout)
            if wire.worker() == worker:
                return wire
            wire.close()
        raise Unfinished(f"none of {TRIES} connections came to the worker {worker}")

    def worker(self) -> int:
        """The process at the other end. Asks something, so that it has taken the connection."""
        self._http.request("GET", "/-/liveness")
        self._http.getresponse().read()
        return worker_behind(self.proxy, self.socket.getsockname()[1])

    def send(
        self, path: str, token: str | None = None, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> None:
        """Ask, and wait for nothing (default: with a fresh token for the repository in `path`)."""
        known = self.proxy.client.token(*scopes_in(path)) if token is None else token
        self._http.request(method, path, headers={"Authorization": f"Bearer {known}", **(headers or {})})

    def answer(self) -> http.client.HTTPResponse:
        """The answer to what was sent, as soon as its headers are there."""
        return self._http.getresponse()

    def ask(
        self, path: str, token: str | None = None, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> http.client.HTTPResponse:
        """Both."""
        self.send(path, token, headers, method)
        return self.answer()

    def close(self) -> None:
        self._http.close()

    def reset(self) -> None:
        """Leave without a farewell."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def rest_of(answer: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """What is left of a body, and whether it came whole: to its Content-Length, or to the last chunk."""
    got = bytearray()
    try:
        while piece := answer.read1(256 * 1024):
            got += piece
    except (http.client.IncompleteRead, ConnectionError) as error:
        partial = error.partial if isinstance(error, http.client.IncompleteRead) else b""
        return bytes(got) + partial, False
    return bytes(got), not answer.length  # what is left of the promised length; None: it came in chunks


def worker_behind(proxy: Proxy, port: int) -> int:
    """The id of the process that has the connection whose other end is this port.

    :raises Unfinished: no worker has it.
    """
    inode = _inode_of(proxy.port, port)
    for pid in proxy.workers():
        with suppress(FileNotFoundError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    if str(descriptor.readlink()) == f"socket:[{inode}]":
                        return pid
    raise Unfinished(f"no worker has the connection from port {port}")


def _inode_of(here: int, there: int) -> str:
    ends = [f"0100007F:{here:04X}", f"0100007F:{there:04X}"]
    for line in Path("/proc/net/tcp").read_text().splitlines():
        columns = line.split()
        if columns[1:3] == ends:
            return columns[9]
    raise Unfinished(f"no connection from port {there} to port {here}")
