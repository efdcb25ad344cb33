"""HTTP/1.1 down to the bytes: requests read from a socket, answers written to it, well or badly.

An answer says what is sent and also how: slowly, cut short, held back, in which framing. So a fault is a
function from an answer to another one (`tests.rig.faults`), and only `write` knows how to misbehave.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import BinaryIO, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.rig.processes import Unfinished

PIECE = 64 * 1024

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. `at` is a monotonic time in seconds; `connection` counts from 1."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Headers
    body: bytes
    connection: int
    at: float

    def header(self, name: str) -> str | None:
        """The value, joined with commas if the header came several times; None if it did not."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


class Gate:
    """Holds a body at byte `at` of what is sent until the test opens it."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, request: Request, answer: "Answer") -> "Answer":
        return replace(answer, gate=self)

    def open(self) -> None:
        self._opened.set()

    def wait_reached(self, timeout: float = 15) -> None:
        """Wait until a body stands at the gate.

        :raises Unfinished: none came within `timeout` seconds.
        """
        if not self.reached.wait(timeout):
            raise Unfinished(f"no body came to the gate at byte {self.at} within {timeout} s")

    def hold(self, stopping: threading.Event) -> None:
        self.reached.set()
        while not self._opened.wait(0.02) and not stopping.is_set():
            pass


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, and how.

    `delay`: seconds before the first byte. `rate`: bytes of body a second. `cut`: where the connection is
    closed, in bytes of body; from the end if negative, a part of the whole if a float; `reset` then sends RST.
    `unsaid`: nothing is sent, and the connection is held or closed. `range_shift`: how far a Content-Range is
    from the truth.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    delay: float = 0
    unsaid: Literal["held", "closed"] | None = None
    framing: Literal["length", "chunked", "close"] = "length"
    ranges: bool = True
    range_shift: int = 0
    rate: int | None = None
    cut: int | float | None = None
    reset: bool = False
    gate: Gate | None = None

    def with_header(self, name: str, *values: str) -> "Answer":
        """The same with this header set to these values; no value removes it."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept + tuple((name, value) for value in values))


class Closed(Exception):
    """The peer has left, or the server stops."""


def read(stream: BinaryIO, connection: int, now: Callable[[], float]) -> Request:
    """The next request of a connection.

    :raises Closed: there is none.
    """
    first = stream.readline(PIECE).split()
    if len(first) != 3:
        raise Closed
    headers: list[tuple[str, str]] = []
    while (line := stream.readline(PIECE).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    target = urlsplit(first[1].decode("latin-1"))
    return Request(
        method=first[0].decode("latin-1"),
        path=unquote(target.path),
        query=parse_qs(target.query, keep_blank_values=True),
        headers=tuple(headers),
        body=stream.read(length),
        connection=connection,
        at=now(),
    )


def ranged(request: Request, answer: Answer) -> Answer:
    """Apply a single Range (RFC 9110, 14.2) to an answer that holds the whole."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.header("Range") or "")
    if not answer.ranges or asked is None or answer.status != 200 or request.method != "GET":
        return answer
    size = len(answer.body)
    if asked[1] == "":
        first, last = max(0, size - int(asked[2] or 0)), size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    if first > last:
        return replace(answer, status=416, body=b"").with_header("Content-Range", f"bytes */{size}")
    told = f"bytes {first + answer.range_shift}-{last + answer.range_shift}/{size}"
    part = replace(answer, status=206, body=answer.body[first : last + 1])
    return part.with_header("Content-Range", told)


def write(
    connection: socket.socket,
    answer: Answer,
    *,
    head: bool,
    stopping: threading.Event,
    sent: Callable[[int], None],
) -> None:
    """Send an answer as it says. `sent` is told of each piece of body that went out.

    :raises Closed: the connection must be closed now, on purpose or not.
    """
    if answer.unsaid == "held":
        stopping.wait()
    if answer.unsaid or stopping.wait(answer.delay):
        raise Closed
    connection.sendall(_head(answer))
    bodiless = head or answer.status in (204, 304)
    if not bodiless:
        for piece in _pieces(answer, stopping):
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece
            connection.sendall(chunk)
            sent(len(piece))
        if answer.cut is not None:
            raise _closing(connection, answer)
        if answer.framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
    if answer.framing == "close":
        raise Closed


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    names = {name.lower() for name, _ in answer.headers}
    if answer.framing == "length" and "content-length" not in names:
        lines.append(f"Content-Length: {len(answer.body)}")
    if answer.framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    if answer.framing == "close":
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in {each.value for each in HTTPStatus} else "Odd"


def _pieces(answer: Answer, stopping: threading.Event) -> Iterator[bytes]:
    """The body up to the cut, in pieces that respect the rate and stop at the gate."""
    end = _cut(answer)
    step = PIECE if answer.rate is None else max(1, answer.rate // 10)
    at = 0
    while True:
        if answer.gate is not None and at == answer.gate.at:
            answer.gate.hold(stopping)
        if at >= end:
            return
        stop = min(at + step, end)
        if answer.gate is not None and at < answer.gate.at < stop:
            stop = answer.gate.at
        yield answer.body[at:stop]
        if answer.rate is not None and stopping.wait((stop - at) / answer.rate):
            raise Closed
        at = stop


def _cut(answer: Answer) -> int:
    size = len(answer.body)
    if answer.cut is None:
        return size
    if isinstance(answer.cut, float):
        return int(size * answer.cut)
    return min(answer.cut, size) if answer.cut >= 0 else max(0, size + answer.cut)


def _closing(connection: socket.socket, answer: Answer) -> Closed:
    if answer.reset:
        # A linger time of zero makes close() send RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return Closed()
