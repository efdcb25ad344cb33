"""A process that writes to an index: ``python -m tests.storage.index.writer FOLDER NAME COUNT``.

It migrates and opens the index as a server does, waits for a line on its standard input, then saves COUNT images of
the group NAME, among other writes, and prints the number of each once it was acknowledged.
"""

import asyncio
import sys
from pathlib import Path

from proxy_core.reference import Image, Repository
from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.model import Pause
from proxy_core.storage.index.sql import open_index

from .samples import ALPINE, digest, layer, manifest

#: Each image has this layer, so that all writers touch the same rows, too.
SHARED = 9


def image(name: str, number: int) -> Image:
    """The image that is saved as this number."""
    return Image(name, Repository("docker.io", f"library/image-{number}"))


async def write(folder: Path, name: str, count: int) -> None:
    index = await open_index(folder)
    for number in range(count):
        saved = manifest(1000 + number)
        await index.save(image(name, number), saved, [layer(SHARED), layer(5000 + number)], "latest", now=number)
        await index.save(ALPINE, saved, [layer(SHARED), layer(5000 + number)], f"{name}-{number}", now=number)
        await index.add_blob(digest(5000 + number), 1000, now=number)
        await index.touch([(ALPINE, saved.digest)], [digest(5000 + number)], now=number + 1)
        await index.save_pause("docker.io", Pause(number, name, number))
        await index.purge(f"{name}-nothing")
        print(number, flush=True)
    await index.close()


if __name__ == "__main__":
    folder, name, count = sys.argv[1:]
    migrate(Path(folder))
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(write(Path(folder), name, int(count)))
