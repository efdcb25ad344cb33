"""One asking for all who wait: in this process by a shared task, over all processes by a lock."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from proxy_core.errors import Unavailable
from proxy_core.storage.locks import Lock, Locks

T = TypeVar("T")

_LOOK = 0.005  # seconds between two looks at a lock that another process holds


class Flights(Generic[T]):
    """Calls by key; who asks for a key that is under way gets the same answer, or the same error.

    A call belongs to no asker: it goes on when the first one leaves.
    """

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(_run(call))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
            # Without a waiter left, an error has no reader; it is none of the event loop's business then.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def hold(locks: Locks, name: str, patience: float) -> Lock:
    """Wait for a lock that another process may hold.

    :param patience: seconds.
    :raises Unavailable: it was not to be had in that time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while (lock := locks.acquire(name)) is None:
        if loop.time() > end:
            raise Unavailable(
                "Another process of this proxy asks the upstream for the same, and gets no answer.",
                "Pull again in a moment.",
                headers={"Retry-After": "5"},
            )
        await asyncio.sleep(_LOOK)
    return lock


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
