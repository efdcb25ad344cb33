"""Sending the bytes of blobs: in pieces, to clients that may leave, within bounded memory."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from proxy_core.cache.filling.readers import BlobReader
from proxy_core.cache.manifests import State
from proxy_core.errors import UpstreamBroken
from proxy_core.registry.ranges import Span
from proxy_core.registry.replies import HeaderList, Receive, Send

#: How much is read and sent at a time: large pieces cost less time, and memory for each body that is under way.
_LARGEST: Final = 256 * 1024
_SMALLEST: Final = 64 * 1024
_ALL_TOGETHER: Final = 2 * 1024 * 1024
#: After so many pieces the others have their turn, and it is heard whether the client has left: sending to one who has
#: takes no time at all.
_TURN: Final = 8
#: A client that took so many seconds for a piece gets small ones: what waits for it waits in memory.
_SLOW: Final = 0.05
#: A body of a stored blob up to this size is sent without listening for the client: it is over before that would pay.
_SHORT: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """What goes before a body, as soon as its first bytes are there: until then an error can still be told."""

    status: int
    headers: HeaderList


@dataclass(slots=True)
class Sent:
    """How the sending of a body went; filled in while it goes."""

    status: int
    state: State
    size: int = 0  # bytes of the body that were sent
    complete: bool = False


class Bodies:
    """All bodies that this process sends."""

    def __init__(self) -> None:
        self._under_way = 0

    async def send(self, head: Head, reader: BlobReader, span: Span, receive: Receive, send: Send, sent: Sent) -> None:
        """Send head and bytes of a span. The server says nothing when the client has left, so somebody listens for
        that.

        :raises ProxyError: the rest will not come; as long as nothing is sent, ``sent.status`` is 0.
        """
        self._under_way += 1
        try:
            if sent.state is State.HIT and span.end is not None and span.end - span.start <= _SHORT:
                await self._pump(head, reader, span, send, sent)
            else:
                await self._pump_while_heard(head, reader, span, receive, send, sent)
        finally:
            self._under_way -= 1

    async def _pump_while_heard(
        self, head: Head, reader: BlobReader, span: Span, receive: Receive, send: Send, sent: Sent
    ) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("an answer is given in a task")
        listener = asyncio.ensure_future(_until_gone(receive, task))
        try:
            await self._pump(head, reader, span, send, sent)
        except asyncio.CancelledError:
            if not listener.done() or task.uncancel() > 0:
                raise
        finally:
            listener.cancel()

    async def _pump(self, head: Head, reader: BlobReader, span: Span, send: Send, sent: Sent) -> None:
        offset, end = span.start, span.end
        pieces, slow = 0, False
        while end is None or offset < end:
            piece = _SMALLEST if slow else self._piece()
            chunk = await reader.read(offset, piece if end is None else min(piece, end - offset))
            if not chunk:
                if end is None:
                    break
                raise UpstreamBroken("The blob ends before the size that was told for it.", "Pull again.")
            if not sent.status:
                await _begin(head, send, sent)
            size = len(chunk)
            offset += size
            began = time.monotonic()
            sending = send({"type": "http.response.body", "body": chunk, "more_body": end is None or offset < end})
            del chunk  # the server has its own copy by now, and a slow client may take its time
            await sending
            slow = time.monotonic() - began > _SLOW
            sent.size += size
            pieces += 1
            if pieces % _TURN == 0:
                await asyncio.sleep(0)
        if end is None or span.start == end:
            if not sent.status:
                await _begin(head, send, sent)
            await send({"type": "http.response.body", "body": b""})
        sent.complete = True

    def _piece(self) -> int:
        """Always one of few sizes, or the allocator would be left with gaps that fit nothing."""
        piece = _LARGEST
        while piece > _SMALLEST and piece * self._under_way > _ALL_TOGETHER:
            piece //= 2
        return piece


async def _begin(head: Head, send: Send, sent: Sent) -> None:
    await send({"type": "http.response.start", "status": head.status, "headers": head.headers})
    sent.status = head.status


async def _until_gone(receive: Receive, task: "asyncio.Task[None]") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
