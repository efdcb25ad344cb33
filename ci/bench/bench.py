"""One run: the upstream with its images, the load client, and the servers that are compared."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.bench import load, nginx, pulls
from ci.bench.images import MEGABYTE, Image, NewBlobs, add_image, add_layer
from ci.bench.processes import free_ports, wait_until_quiet, workers_of
from ci.bench.servers import Place, Running, Server

SMALL_BLOBS = 5
MANIFESTS = 5


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: sizes in bytes, the length of a warm measurement in seconds, rounds."""

    small: int = 3 * MEGABYTE
    big: int = 512 * MEGABYTE
    seconds: float = 2.0
    slow_seconds: float = 6.0
    rounds: int = 5
    crowd: int = 50
    crowd_rounds: int = 3


QUICK = Scale(big=64 * MEGABYTE, seconds=0.5, slow_seconds=2.0, rounds=3)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every figure needs."""

    scale: Scale
    servers: Mapping[str, Server]
    upstream: nginx.Upstream
    client: load.LoadClient
    work: Path
    small: Image
    many: tuple[Image, ...]
    new_blobs: NewBlobs

    @contextlib.contextmanager
    def up(self, *names: str) -> Iterator[dict[str, Running]]:
        """Starts those of the named servers that can run (none named: all), each with an empty cache."""
        with contextlib.ExitStack() as stack:
            yield {
                name: stack.enter_context(self.start(server))
                for name, server in self.servers.items()
                if not names or name in names
            }

    @contextlib.contextmanager
    def start(self, server: Server) -> Iterator[Running]:
        """Starts one server in a folder that is removed afterwards."""
        folder = Path(tempfile.mkdtemp(prefix=f"{server.name}-", dir=self.work))
        place = Place(folder, free_ports(1)[0], self.upstream.url(server.name), self.upstream.tree)
        try:
            with server.start(place) as running:
                yield running
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self, running: Mapping[str, Running]) -> None:
        """Lets leftover work end and dirty pages reach the disk, so that the next one measured does not pay for it."""
        pids = [pid for server in running.values() for pid in (server.pid, *server.workers())]
        wait_until_quiet([*pids, *workers_of(self.upstream.pid)])
        os.sync()


def rotated(names: Sequence[str], turn: int) -> list[str]:
    """`names` in the order of this round: each is the first one as often as the others."""
    first = turn % len(names)
    return [*names[first:], *names[:first]]


@contextlib.contextmanager
def prepared(work: Path, servers: Sequence[Server], scale: Scale) -> Iterator[Bench]:
    """Makes the images, compiles the client and runs the upstream.

    :raises BenchError: the rig cannot run on this machine.
    """
    tree = work / "tree"
    layers = tuple(add_layer(tree, "library/small", scale.small) for _ in range(SMALL_BLOBS))
    many = tuple(add_image(tree, "library/small", layers) for _ in range(MANIFESTS))
    new_blobs = NewBlobs(tree, "library/big", scale.big)
    client = load.compile_client(work)
    names = [server.name for server in servers]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with nginx.upstream(work / "upstream", tree, ports) as upstream:
        yield Bench(
            scale=scale,
            servers={server.name: server for server in servers},
            upstream=upstream,
            client=client,
            work=work,
            small=many[0],
            many=many,
            new_blobs=new_blobs,
        )


def warm(server: Running, image: Image) -> list[str]:
    """Fills the server's cache with an image, then checks what comes out of it; faults in words."""
    return pulls.pull(server, image) + pulls.pull(server, image)
