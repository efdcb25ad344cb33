"""What upstreams said of their rate limits, from the answers of all workers."""

from collections.abc import Callable, Sequence
from typing import Protocol

from proxy_core.storage.index.model import Index, Quota
from proxy_core.upstream import QuotaReading


class Readings(Protocol):
    """Where the readings since the last time are: upstream, account, reading."""

    def take(self) -> Sequence[tuple[str, str, QuotaReading]]: ...


class Quotas:
    """The last reading for each upstream and account, kept in the index."""

    def __init__(self, index: Index, readings: Readings, clock: Callable[[], float]) -> None:
        self._index = index
        self._readings = readings
        self._clock = clock

    async def flush(self) -> None:
        """:raises StorageError: the index can not be written."""
        for upstream, account, reading in self._readings.take():
            await self._index.save_quota(
                Quota(
                    upstream=upstream,
                    account=account,
                    limit=reading.limit,
                    remaining=reading.remaining,
                    window=float(reading.window_seconds or 0),
                    source=reading.source or "",
                    observed_at=self._clock(),
                )
            )

    async def all(self) -> Sequence[Quota]:
        """:raises StorageError: the index can not be read."""
        await self.flush()
        return await self._index.quotas()
