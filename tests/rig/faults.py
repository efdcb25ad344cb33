"""What can go wrong with an upstream, each as a small value: `upstream.fault("blobs/*", CutAt(1000), times=1)`.

A fault is called with the request and the right answer, and gives the wrong one. Give several to combine them.
`Gate` (in `tests.rig.wire`) is one too: it holds a body until the test opens it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from tests.rig.contents import refusal
from tests.rig.images import OCI_MANIFEST, Blob, blob
from tests.rig.wire import Answer, Gate, Request

__all__ = [
    "Body",
    "Chunked",
    "CloseDelimited",
    "CutAt",
    "Delay",
    "Dribble",
    "Drop",
    "FalseRange",
    "Fault",
    "Gate",
    "HugeHeaders",
    "Lengthened",
    "NoRange",
    "Redirect",
    "RedirectLoop",
    "Shortened",
    "Silence",
    "Status",
    "WithHeaders",
    "WrongByte",
    "large_manifest",
    "not_json",
    "schema_1",
]


class Fault(Protocol):
    def __call__(self, request: Request, answer: Answer) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Silence:
    """The request is taken, and nothing is ever said."""

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, unsaid="held")


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection closes without an answer, as an idle one that the server has given up."""

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, unsaid="closed")


@dataclass(frozen=True, slots=True)
class Delay:
    """The headers come this many seconds late."""

    seconds: float

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, delay=self.seconds)


@dataclass(frozen=True, slots=True)
class Dribble:
    """The body comes at this many bytes a second."""

    rate: int

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, rate=self.rate)


@dataclass(frozen=True, slots=True)
class CutAt:
    """The connection closes after so many bytes of this body, short of its Content-Length.

    Negative counts from the end (-1: all but the last byte), a float is a part of the whole (0.5: half).
    """

    at: int | float
    reset: bool = False

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, cut=self.at, reset=self.reset)


@dataclass(frozen=True, slots=True)
class NoRange:
    """A Range is ignored: the whole comes, with 200."""

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, ranges=False).with_header("Accept-Ranges")


@dataclass(frozen=True, slots=True)
class FalseRange:
    """A 206 whose Content-Range tells another place than that of its bytes."""

    shift: int = 1

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, range_shift=self.shift)


@dataclass(frozen=True, slots=True)
class WrongByte:
    """One byte of the whole is another (negative counts from the end); all lengths are right."""

    at: int = -1

    def __call__(self, request: Request, answer: Answer) -> Answer:
        body = bytearray(answer.body)
        body[self.at] ^= 0xFF
        return replace(answer, body=bytes(body))


@dataclass(frozen=True, slots=True)
class Lengthened:
    """More bytes than the digest stands for, with a Content-Length that counts them all."""

    extra: int = 1

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, body=answer.body + bytes(self.extra))


@dataclass(frozen=True, slots=True)
class Shortened:
    """Fewer bytes than the digest stands for, with a Content-Length that fits them."""

    missing: int = 1

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, body=answer.body[: -self.missing])


@dataclass(frozen=True, slots=True)
class Chunked:
    """No Content-Length: chunks."""

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, framing="chunked")


@dataclass(frozen=True, slots=True)
class CloseDelimited:
    """No Content-Length: the body ends where the connection does."""

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return replace(answer, framing="close")


@dataclass(frozen=True, slots=True)
class Status:
    """An error with a registry's body. `retry_after`: seconds or an HTTP date."""

    status: int
    code: str = ""
    message: str = "upstream says no"
    retry_after: str | None = None

    def __call__(self, request: Request, answer: Answer) -> Answer:
        code = self.code or _code_of.get(self.status, "UNKNOWN")
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return refusal(self.status, code, self.message, headers)


_code_of = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "MANIFEST_UNKNOWN",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Redirect:
    """Leads to the same path at another server, as registries do to their CDN; or to a fixed address."""

    to: str
    status: int = 307
    keep_path: bool = True

    def __call__(self, request: Request, answer: Answer) -> Answer:
        target = f"{self.to}{request.path}?signature=rig" if self.keep_path else self.to
        return Answer(self.status, (("Location", target),))


@dataclass(frozen=True, slots=True)
class RedirectLoop:
    """Leads to itself."""

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return Answer(307, (("Location", request.path),))


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """These headers instead of the right ones: None removes one. Names as `Docker-Content-Digest`."""

    headers: Mapping[str, str | None]

    def __call__(self, request: Request, answer: Answer) -> Answer:
        for name, value in self.headers.items():
            answer = answer.with_header(name, *(() if value is None else (value,)))
        return answer


@dataclass(frozen=True, slots=True)
class HugeHeaders:
    """So many bytes of headers more, in lines of 4 KiB."""

    size: int = 1024 * 1024

    def __call__(self, request: Request, answer: Answer) -> Answer:
        return answer.with_header("X-Padding", *("x" * 4096 for _ in range(self.size // 4096)))


@dataclass(frozen=True, slots=True)
class Body:
    """Another body, with the media type and digest header that go with it."""

    content: Blob
    status: int = 200
    ranges: bool = field(default=False)

    def __call__(self, request: Request, answer: Answer) -> Answer:
        changed = replace(answer, status=self.status, body=self.content.data, ranges=self.ranges)
        typed = changed.with_header("Content-Type", self.content.media_type)
        return typed.with_header("Docker-Content-Digest", self.content.digest).with_header("ETag")


def large_manifest(size: int = 11 * 1024 * 1024) -> Blob:
    """A manifest in the right form, but of this size: above what a registry takes."""
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "annotations": {"padding": "x" * size}}
    return blob(json.dumps(value).encode(), OCI_MANIFEST)


def not_json() -> Blob:
    """A page of HTML where a manifest should be, as captive portals send."""
    return blob(b"<html><body>Sign in to the network</body></html>", "text/html")


def schema_1() -> Blob:
    """A manifest of Docker's first schema, which Docker itself gave up."""
    value = {"schemaVersion": 1, "name": "library/old", "tag": "1", "fsLayers": [], "history": []}
    return blob(json.dumps(value).encode(), "application/vnd.docker.distribution.manifest.v1+prettyjws")
