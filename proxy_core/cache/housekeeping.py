"""What has to be done now and then while the proxy serves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from proxy_core.storage.index.model import Index


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so many seconds."""

    name: str
    every: float
    do: Callable[[], Awaitable[None]]


async def keep_house(chores: Sequence[Chore], failed: Callable[[str, Exception], None]) -> None:
    """Do all chores until cancelled. One that fails is reported and done again next time."""
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(chore, failed), name=chore.name)


class PurgeWatch:
    """Notices that something was purged, by whatever process, and makes this one forget what it remembers."""

    def __init__(self, index: Index, forget: Sequence[Callable[[], None]]) -> None:
        self._index = index
        self._forget = forget
        self._generation: int | None = None

    async def look(self) -> None:
        """:raises StorageError: the index can not be read."""
        generation = await self._index.generation()
        if self._generation is not None and generation != self._generation:
            for forget in self._forget:
                forget()
        self._generation = generation


async def _repeat(chore: Chore, failed: Callable[[str, Exception], None]) -> None:
    while True:
        try:
            await chore.do()
        except Exception as error:
            failed(chore.name, error)
        await asyncio.sleep(chore.every)
