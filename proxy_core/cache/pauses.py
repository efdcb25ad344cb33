"""When an upstream is left in peace, by all workers: after a 429 as long as it says, after an outage for a moment."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proxy_core.storage.index.model import Index, Pause
from proxy_core.upstream import FailureKind, UpstreamFailure

_LIMITED = 60.0  # seconds, where a 429 says none
_LONGEST_LIMIT = 6 * 3600.0
_FIRST_OUTAGE = 0.5
_LONGEST_OUTAGE = 15.0


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
        await self._check(upstream)
        try:
            yield
        except UpstreamFailure as failure:
            if failure.kind in (FailureKind.LIMITED, FailureKind.OUTAGE):
                await self._failed(upstream, failure)
            else:
                await self._answered(upstream)
            raise
        await self._answered(upstream)

    async def _check(self, upstream: str) -> None:
        """:raises UpstreamFailure: the upstream is not to be asked now, and why."""
        pause = await self._index.pause(upstream)
        if pause is None:
            return
        left = pause.until - self._clock()
        if left <= 0:
            return
        kind, _, cause = pause.cause.partition(" ")
        raise UpstreamFailure(
            kind=FailureKind(kind),
            status=None,
            reason="paused",
            cause=cause,
            fix=f"It is asked again in {left:.0f} s.",
            retry_after=left,
        )

    async def _failed(self, upstream: str, failure: UpstreamFailure) -> None:
        if failure.kind is FailureKind.LIMITED:
            seconds = min(failure.retry_after if failure.retry_after is not None else _LIMITED, _LONGEST_LIMIT)
            strikes = 0
        else:
            last = await self._index.pause(upstream)
            strikes = last.strikes + 1 if last else 1
            seconds = min(_FIRST_OUTAGE * 2 ** (strikes - 1), _LONGEST_OUTAGE)
        until = self._clock() + seconds
        await self._index.save_pause(upstream, Pause(until, f"{failure.kind.value} {failure.cause}", strikes))

    async def _answered(self, upstream: str) -> None:
        if await self._index.pause(upstream):
            await self._index.save_pause(upstream, None)
