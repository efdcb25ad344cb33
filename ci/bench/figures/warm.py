"""Figures of a warm cache: nothing but the server's own speed, and no upstream request."""

from collections.abc import Callable
from dataclasses import dataclass

from ci.bench import load
from ci.bench.bench import Bench, rotated, warm
from ci.bench.images import Image
from ci.bench.results import Figure, Goal, Sample, Samples, ratio_goal
from ci.bench.servers import Running

MEGABYTES_PER_SECOND = 1e6
MANIFEST_CLIENTS = 32


@dataclass(frozen=True, slots=True)
class Work:
    """What the load client asks for; a target is a path and the length of its body."""

    image: Image
    targets: Callable[[Running], list[tuple[str, int]]]
    connections: int
    method: load.Method
    value: Callable[[load.Load], float]


def blobs_16(bench: Bench) -> Figure:
    return _small_blobs(bench, "blobs-16", 16, 0.95)


def blobs_64(bench: Bench) -> Figure:
    return _small_blobs(bench, "blobs-64", 64, 0.90)


def _small_blobs(bench: Bench, name: str, connections: int, of_nginx: float) -> Figure:
    work = _blobs(bench.small, connections)
    samples = _measure(bench, work, (bench.small,))
    goals = (ratio_goal(samples, "nginx", "at least", of_nginx), ratio_goal(samples, "docker-registry", "at least", 3))
    title = (
        f"warm blobs of {bench.scale.small / 2**20:.0f} MB ({len(bench.small.layers)} distinct), {connections} clients"
    )
    return _figure(name, title, "MB/s", samples, goals)


def blob_big(bench: Bench) -> Figure:
    image = bench.new_blobs.next()
    samples = _measure(bench, _blobs(image, 1), (image,))
    goals = (ratio_goal(samples, "nginx", "at least", 0.95),)
    return _figure("blob-big", f"warm blob of {bench.scale.big / 2**20:.0f} MB, one client", "MB/s", samples, goals)


def manifests(bench: Bench) -> Figure:
    """By digest; runner-bridge checks a token on every request, its peers know no login."""
    work = Work(
        bench.small,
        lambda server: [(server.manifest_path(i, i.manifest.digest), i.manifest.size) for i in bench.many],
        MANIFEST_CLIENTS,
        "ALTERNATE",
        lambda seen: seen.requests_per_second,
    )
    samples = _measure(bench, work, bench.many)
    goals = (
        ratio_goal(samples, "drayage", "at least", 1.2),
        ratio_goal(samples, "docker-registry", "at least", 40),
    )
    title = f"warm manifests by digest, GET and HEAD in turn, {MANIFEST_CLIENTS} clients (ours with a token)"
    return _figure("manifests", title, "requests/s", samples, goals)


def _figure(name: str, title: str, unit: str, samples: Samples, goals: tuple[Goal, ...]) -> Figure:
    return Figure(name, title, unit, more_is_better=True, samples=samples, goals=goals)


def _blobs(image: Image, connections: int) -> Work:
    return Work(
        image,
        lambda server: [(server.blob_path(image, blob.digest), blob.size) for blob in image.layers],
        connections,
        "GET",
        lambda seen: seen.bytes_per_second / MEGABYTES_PER_SECOND,
    )


def _measure(bench: Bench, work: Work, images: tuple[Image, ...]) -> Samples:
    samples: dict[str, list[Sample]] = {}
    with bench.up() as running:
        for name, server in running.items():
            faults = tuple(fault for image in images for fault in warm(server, image))
            samples[name] = []
            if faults:
                samples[name].append(Sample(0.0, faults=faults))
        bench.settle(running)
        for turn in range(bench.scale.rounds):
            for name in rotated([n for n in running if not samples[n] or samples[n][0].value], turn):
                samples[name].append(_load_once(bench, work, running[name]))
    return samples


def _load_once(bench: Bench, work: Work, server: Running) -> Sample:
    server.reset_peaks()
    before = len(bench.upstream.requests(server.name))
    command = bench.client.command(
        server.port,
        work.targets(server),
        connections=work.connections,
        seconds=bench.scale.seconds,
        method=work.method,
        headers=server.headers(work.image),
    )
    seen = load.run(command)
    return Sample(
        work.value(seen),
        {
            "latency_p50_ms": seen.latency_ms.p50,
            "latency_p99_ms": seen.latency_ms.p99,
            "peak_rss_mib": max(server.peaks()),
            "upstream_requests": len(bench.upstream.requests(server.name)) - before,
        },
        seen.faults,
    )
