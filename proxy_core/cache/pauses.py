"""When an upstream is left in peace, by all workers: after a 429 as long as it says, after an outage for a moment."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from proxy_core.storage.index.model import Index, Pause
from proxy_core.upstream import FailureKind, UpstreamFailure

_LIMITED: Final = 60.0  # seconds, where a 429 says none
_LONGEST_LIMIT: Final = 6 * 3600.0
_FIRST_OUTAGE: Final = 0.5
_LONGEST_OUTAGE: Final = 15.0


class Pauses:
    """The pauses of all upstreams, kept in the index so that every process sees them."""

    def __init__(self, index: Index, clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock

    @asynccontextmanager
    async def asking(self, upstream: str) -> AsyncIterator[None]:
        """Around what asks an upstream: raises at once during a pause, and takes note of how it went.

        :raises UpstreamFailure: the upstream is not to be asked now, or it failed.
        """
        began = self._clock()
        pause = await self._index.pause(upstream)
        if pause and pause.until > began:
            raise _paused(pause, began)
        try:
            yield
        except UpstreamFailure as failure:
            if failure.kind in (FailureKind.LIMITED, FailureKind.OUTAGE):
                await self._failed(upstream, failure, began)
            elif pause:
                await self._answered(upstream, began)
            raise
        if pause:  # else there is nothing to end, and nothing to look up before the first byte
            await self._answered(upstream, began)

    async def _failed(self, upstream: str, failure: UpstreamFailure, began: float) -> None:
        """Many ask at once, and fail at once: that is one failure, and the first to come here has noted it."""
        last = await self._index.pause(upstream)
        noted = last if last and last.until > began else None
        if failure.kind is FailureKind.LIMITED:
            seconds = min(failure.retry_after if failure.retry_after is not None else _LIMITED, _LONGEST_LIMIT)
            strikes = 0
        elif noted:
            return
        else:
            strikes = last.strikes + 1 if last else 1
            doublings = min(strikes - 1, 16)  # a night of outage has more strikes than a float has room for
            seconds = min(_FIRST_OUTAGE * 2**doublings, _LONGEST_OUTAGE)
        until = max(self._clock() + seconds, noted.until if noted else 0)
        await self._index.save_pause(upstream, Pause(until, _note_of(failure), strikes))

    async def _answered(self, upstream: str, began: float) -> None:
        """It answers, so it is not away. That it limits us was told to somebody else meanwhile, and stays true."""
        pause = await self._index.pause(upstream)
        if pause and not (pause.until > began and _kind_of(pause) is FailureKind.LIMITED):
            await self._index.save_pause(upstream, None)


def _note_of(failure: UpstreamFailure) -> str:
    """What clients are told during the pause."""
    return json.dumps({"kind": failure.kind.value, "cause": failure.cause, "headers": failure.headers})


def _kind_of(pause: Pause) -> FailureKind:
    return FailureKind(json.loads(pause.cause)["kind"])


def _paused(pause: Pause, now: float) -> UpstreamFailure:
    left = pause.until - now
    note = json.loads(pause.cause)
    return UpstreamFailure(
        kind=FailureKind(note["kind"]),
        status=None,
        reason="paused",
        cause=note["cause"],
        fix=f"It is asked again in {left:.0f} s.",
        retry_after=left,
        headers=note["headers"],
    )
