"""A blob as it comes from an upstream: read in the thread of a fill, as fast as the socket gives it."""

from collections.abc import Callable, Iterator
from typing import Final

import httpcore2
import httpx2

from proxy_core.settings.model import Upstream
from proxy_core.upstream.failures import FAULTS, FailureKind, TooLarge, UpstreamFailure, failure_of_error
from proxy_core.upstream.headers import content_length, content_range
from proxy_core.upstream.reading import Meter
from proxy_core.upstream.sockets import Stream

#: From so many bytes on, a body is read from its socket without httpcore2. The connection is not used again then,
#: which costs more than it gains for less.
DIRECT_FROM: Final = 8 * 1024 * 1024


class BlobStream:
    """The bytes of a blob from :attr:`start` on.

    Large bodies of a known length take a short way: the first bytes come through httpcore2, with whatever its parser
    has read beyond the headers; the rest is read straight from the socket into the reader's buffer, which takes a
    third of the CPU.

    :ivar start: where the bytes begin: 0, or where the upstream's ``Content-Range`` says.
    :ivar total: the size of the whole blob, if the upstream tells it.
    :raises UpstreamFailure: ``INVALID``: the answer can not be used.
    """

    def __init__(
        self,
        response: httpx2.Response,
        settings: Upstream,
        subject: str,
        *,
        offset: int,
        meter: Meter,
        clock: Callable[[], float],
    ) -> None:
        self._response = response
        self._settings = settings
        self._subject = subject
        self._meter = meter
        self._clock = clock
        self._aborted = False
        self.start, self.total = self._place(offset)
        if self.total is not None and self.total > settings.max_blob:
            raise self._failure(TooLarge())
        length = content_length(response.headers)
        self._end = self.total if length is None else self.start + length
        self._position = self.start
        self._chunks: Iterator[bytes] = response.iter_raw()
        self._chunk = memoryview(b"")
        stream = response.extensions.get("network_stream")
        self._stream: Stream | None = stream if isinstance(stream, Stream) else None
        self._direct = length is not None and length >= DIRECT_FROM

    def readinto(self, buffer: memoryview) -> int:
        """Wait for bytes, put as many as are there into the buffer (which must not be empty), and tell how many.

        0 is the end: of a blob of known size only after all of it.

        :raises UpstreamFailure: ``OUTAGE``: the stream broke, ended early, came below the least rate, gave no byte for
            ``timeouts.read``, or was aborted; ``INVALID``: there are more bytes than ``max_blob``, or than were told.
        """
        began = self._clock()
        try:
            count = self._fill(buffer)
            self._meter.add(count, self._clock() - began)
            self._position += count
            if self._position > self._settings.max_blob:
                raise TooLarge
        except httpcore2.RemoteProtocolError as error:
            raise self._short() from error
        except FAULTS as error:
            raise self._failure(error) from error
        if count == 0 and self._position < (self.total or self._end or 0):
            raise self._short()
        if self.total is not None and self._position > self.total:
            raise self._wrong(FailureKind.INVALID, "too_long", "has more bytes than the upstream said")
        return count

    def abort(self) -> None:
        """Break the connection, from any thread: a read that is under way ends at once."""
        self._aborted = True
        if self._stream is not None:
            self._stream.abort()

    def _place(self, offset: int) -> tuple[int, int | None]:
        """Where the body begins, and the size of the whole (RFC 9110, sections 15.3.1 and 15.3.7)."""
        if self._response.status_code == 200:
            return 0, content_length(self._response.headers)
        part = content_range(self._response.headers.get("Content-Range"))
        length = content_length(self._response.headers)
        if self._response.status_code != 206 or not offset or part is None or length not in (None, part.length):
            raise self._wrong(FailureKind.INVALID, "bad_range", "came as another part than was asked for")
        return part.start, part.total

    def _fill(self, buffer: memoryview) -> int:
        if not self._chunk and self._direct and self._stream is not None and self._position > self.start:
            # Of a body of known length, h11 hands out with the first piece all that it holds: nothing is left in it,
            # and what comes now is the body's, up to its end.
            left = (self._end or 0) - self._position
            return self._stream.readinto(buffer[:left], self._settings.timeouts.read) if left else 0
        if not self._chunk:
            self._chunk = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._chunk))
        buffer[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def _short(self) -> UpstreamFailure:
        return self._wrong(FailureKind.OUTAGE, "short", "ended early", "Try again later.")

    def _failure(self, error: BaseException) -> UpstreamFailure:
        if self._aborted:
            return self._wrong(FailureKind.OUTAGE, "aborted", "was given up", "")
        return failure_of_error(error, self._settings.name, self._response.request.url.host)

    def _wrong(self, kind: FailureKind, reason: str, what: str, fix: str = "Check the upstream.") -> UpstreamFailure:
        if self._aborted:
            kind, reason, what, fix = FailureKind.OUTAGE, "aborted", "was given up", ""
        return UpstreamFailure(kind, reason, f"{self._settings.name}: the {self._subject} {what}.", fix)
