"""Reading as an answer to a client reads, within bounded time."""

import asyncio
from collections.abc import Callable
from typing import Final

from proxy_core.cache.filling.readers import BlobReader

PATIENCE: Final = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads bring about."""
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come about")


async def read_all(reader: BlobReader, *, offset: int = 0, end: int | None = None, piece: int = 256 * 1024) -> bytes:
    """All bytes from ``offset`` on, or up to ``end``. Closes the reader."""
    got = bytearray()
    await read_into(got, reader, offset=offset, end=end, piece=piece)
    return bytes(got)


async def read_into(
    got: bytearray, reader: BlobReader, *, offset: int = 0, end: int | None = None, piece: int = 256 * 1024
) -> None:
    """The same; ``got`` has what came even if the rest did not."""
    end = reader.size if end is None else end
    try:
        async with asyncio.timeout(PATIENCE):
            while end is None or offset + len(got) < end:
                length = piece if end is None else min(piece, end - offset - len(got))
                chunk = await reader.read(offset + len(got), length)
                assert len(chunk) <= length
                if not chunk:
                    return
                got += chunk
    finally:
        reader.close()
