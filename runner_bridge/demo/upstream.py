"""A small registry that stands for Docker Hub: pulls only, with tokens and a quota, and a note of all it is asked."""

import json
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from runner_bridge.demo.exchange import Exchange
from runner_bridge.demo.image import Content, Image

REPOSITORY: Final = "library/hello"
TAG: Final = "latest"
PULLS: Final = 100  # of the quota; as at Docker Hub a GET of a manifest counts, a HEAD does not

_WINDOW: Final = 6 * 3600  # seconds
_TOKEN_LIFE: Final = 300  # seconds
_PATIENCE: Final = 5.0  # seconds that a layer's second half is kept back, or that unfinished answers are waited for
_CONTENT = re.compile(rf"/v2/{re.escape(REPOSITORY)}/(manifests|blobs)/([^/]+)")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Upstream:
    """Listens on a loopback port from ``with`` until :meth:`stop`, or to the end of the block.

    The second half of a layer is kept back until :meth:`reached` says that a client has bytes of it. So it can be
    seen that the proxy passes on what has come, and does not wait for the rest.
    """

    def __init__(self, image: Image) -> None:
        self.pulls_left = PULLS
        self._image = image
        self._token = secrets.token_urlsafe(24)
        self._second_halves = {digest: threading.Event() for digest in image.layers}
        self._answering = 0
        self._changed = threading.Condition()
        self._exchanges: list[Exchange] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def reached(self, digest: str) -> None:
        """A client has the first bytes of this content."""
        if digest in self._second_halves:
            self._second_halves[digest].set()

    def noted(self) -> tuple[Exchange, ...]:
        """What was asked since the last call, in order, when all answers have ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._answering, _PATIENCE)
            exchanges, self._exchanges = self._exchanges, []
        return tuple(sorted(exchanges, key=lambda one: one.started))

    def stop(self) -> None:
        """Refuse all further connections. None is open: each carries one request."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # For the conversations

    def begin(self) -> None:
        with self._changed:
            self._answering += 1

    def end(self, exchange: Exchange) -> None:
        with self._changed:
            self._answering -= 1
            self._exchanges.append(exchange)
            self._changed.notify_all()

    def answer(self, method: str, path: str, headers: Message) -> _Answer:
        if path == "/token":
            return _json(200, {"token": self._token, "expires_in": _TOKEN_LIFE})
        if not secrets.compare_digest(headers.get("Authorization", "").encode(), f"Bearer {self._token}".encode()):
            challenge = f'Bearer realm="{self.url}/token",service="upstream",scope="repository:{REPOSITORY}:pull"'
            return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})
        found = _CONTENT.fullmatch(path)
        content = self._content(found[1], found[2]) if found else None
        if content is None:
            return _error(404, "NOT_FOUND")
        described = {"Content-Type": content.media_type, "Docker-Content-Digest": content.digest}
        return _Answer(200, content.data, described | self._quota(method, content))

    def second_half(self, path: str) -> threading.Event | None:
        """What to wait for in the middle of this body."""
        return self._second_halves.get(path.rpartition("/")[2])

    def _content(self, kind: str, reference: str) -> Content | None:
        if kind == "blobs":
            return self._image.blobs.get(reference)
        return self._image.index if reference == TAG else self._image.manifests.get(reference)

    def _quota(self, method: str, content: Content) -> dict[str, str]:
        if content.digest not in self._image.manifests:
            return {}
        with self._changed:
            self.pulls_left -= method == "GET"
            left = self.pulls_left
        return {"RateLimit-Limit": f"{PULLS};w={_WINDOW}", "RateLimit-Remaining": f"{left};w={_WINDOW}"}


def _json(status: int, document: object, headers: Mapping[str, str] | None = None) -> _Answer:
    return _Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})})


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> _Answer:
    return _json(status, {"errors": [{"code": code, "message": code.capitalize()}]}, headers)


class _Server(ThreadingHTTPServer):
    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        super().__init__(("127.0.0.1", 0), _Conversation)


class _Conversation(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without progress

    _status = 0
    _sent = 0  # bytes of the body
    _first_byte: float | None = None

    def do_GET(self) -> None:
        self._converse()

    def do_HEAD(self) -> None:
        self._converse()

    def _converse(self) -> None:
        upstream = self.server.upstream
        path, started = urlsplit(self.path).path, time.perf_counter()
        upstream.begin()
        try:
            self._give(upstream.answer(self.command, path, self.headers), upstream.second_half(path))
        except (ConnectionError, TimeoutError):
            pass  # who asked has left: the size tells it
        finally:
            times = (started, self._first_byte, time.perf_counter())
            upstream.end(Exchange(self.command, path, self._status, self._sent, *times))

    def _give(self, answer: _Answer, reached: threading.Event | None) -> None:
        self._head(answer)
        if self.command == "HEAD":
            return
        self._first_byte = time.perf_counter()
        half = len(answer.body) // 2
        self._write(answer.body[:half])
        if reached is not None:
            reached.wait(_PATIENCE)
        self._write(answer.body[half:])

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self._sent += len(data)

    def _head(self, answer: _Answer) -> None:
        self._status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")  # so that no connection outlives `stop`
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the exchanges are the log."""
