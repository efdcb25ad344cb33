"""The rig for work by hand: the upstream and the servers, warm, and the commands that load them."""

import contextlib
import shlex
import time
from collections.abc import Sequence

from ci.bench.bench import Bench, warm
from ci.bench.images import Blob, Image
from ci.bench.processes import BenchError
from ci.bench.servers import Running


def hold(bench: Bench, names: Sequence[str]) -> None:
    """Starts the named servers, prints how to load them, and waits for Ctrl-C.

    :raises BenchError: a server has an unknown name, or cannot run here.
    """
    if unknown := [name for name in names if name not in bench.servers]:
        raise BenchError(f"cannot start {', '.join(unknown)}; there are {', '.join(bench.servers)}")
    big = bench.new_blobs.next()
    print("upstream, with a door and a log for each server:")
    for name in bench.servers:
        print(f"  {name}: {bench.upstream.url(name)} {bench.upstream.logs}/{name}.log")
    for image in (bench.small, big):
        print(f"image {image.repository}:{image.tag}\n  manifest {image.manifest.digest}")
        for blob in image.blobs:
            print(f"  blob {blob.digest} {blob.size}")
    with contextlib.ExitStack() as stack:
        for name in names:
            running = stack.enter_context(bench.start(bench.servers[name]))
            faults = warm(running, bench.small)
            print(f"\n{running.name} on port {running.port}, workers {running.workers()}", *faults, sep="\n  ")
            _print_commands(bench, running, big)
        print("\nCtrl-C ends all.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)


def _print_commands(bench: Bench, server: Running, big: Image) -> None:
    def show(title: str, command: list[str]) -> None:
        print(f"  # {title}\n  {shlex.join(command)}")

    layers = [_target(server, bench.small, blob) for blob in bench.small.layers]
    manifests = [(server.manifest_path(i, i.manifest.digest), i.manifest.size) for i in bench.many]
    headers = server.headers(bench.small)
    command = bench.client.command
    show("small blobs", command(server.port, layers, connections=16, seconds=5, headers=headers))
    show(
        "manifests",
        command(server.port, manifests, connections=32, seconds=5, method="ALTERNATE", headers=headers),
    )
    show(
        "big blob (cold the first time)",
        command(
            server.port, [_target(server, big, big.layers[0])], connections=1, requests=1, headers=server.headers(big)
        ),
    )


def _target(server: Running, image: Image, blob: Blob) -> tuple[str, int]:
    return server.blob_path(image, blob.digest), blob.size
