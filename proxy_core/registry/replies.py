"""Answers as values, and the one place that writes them."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from proxy_core.errors import RegistryError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
HeaderList = list[tuple[bytes, bytes]]

API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. For HEAD it has the body of GET; the writer leaves it out."""

    status: int
    headers: HeaderList
    body: bytes = b""

    def with_headers(self, headers: Mapping[str, str]) -> "Reply":
        return replace(self, headers=self.headers + encoded(headers))


def json_reply(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply(status, [(b"content-type", b"application/json"), API_VERSION, *encoded(headers or {})], body)


def error_reply(error: RegistryError, request_id: str) -> Reply:
    """The body of the specification, section "Error Codes"; its detail names cause, next step and the request."""
    detail = {"cause": error.cause, "next": error.fix, "request_id": request_id}
    document = {"errors": [{"code": error.code, "message": error.cause, "detail": detail}]}
    return json_reply(document, error.status, error.headers)


def encoded(headers: Mapping[str, str]) -> HeaderList:
    """Header fields for the wire. Texts of others that are no header text lose what does not fit."""
    return [(name.lower().encode("ascii"), _printable(value)) for name, value in headers.items()]


async def write(reply: Reply, method: str, send: Send) -> None:
    """Write an answer; its Content-Length is that of the body."""
    length = (b"content-length", str(len(reply.body)).encode())
    headers = reply.headers if reply.status == 304 else [*reply.headers, length]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


def _printable(value: str) -> bytes:
    return "".join(c if " " <= c <= "~" else "?" for c in value).encode("ascii")
