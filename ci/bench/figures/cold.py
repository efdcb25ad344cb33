"""Figures of a blob that nobody has seen: one client, and a crowd at once."""

from ci.bench import load, machine, pulls
from ci.bench.bench import Bench, rotated
from ci.bench.images import Image
from ci.bench.results import Figure, Sample, Samples, detail, ratio_goal, value_goal, worst_goal
from ci.bench.servers import Running


def alone(bench: Bench) -> Figure:
    samples = _measure(bench, clients=1, rounds=bench.scale.rounds)
    goals = (
        ratio_goal(samples, "docker-registry", "at most", 1.0),
        value_goal("first byte at most 10 ms", detail(samples, "first_byte_p50_ms"), "at most", 10),
    )
    title = f"cold blob of {bench.scale.big / 2**20:.0f} MB, one client"
    return Figure("cold", title, "s", more_is_better=False, samples=samples, goals=goals)


def crowd(bench: Bench) -> Figure:
    """Without drayage: it stores before it forwards, and would need minutes for this."""
    clients = bench.scale.crowd
    names = [name for name in bench.servers if name != "drayage"]
    samples = _measure(bench, clients=clients, rounds=bench.scale.crowd_rounds, names=names)
    goals = (
        worst_goal("one upstream GET of the blob", detail(samples, "upstream_gets"), 1),
        ratio_goal(samples, "docker-registry", "at most", 0.45),
        value_goal("median first byte at most 50 ms", detail(samples, "first_byte_p50_ms"), "at most", 50),
    )
    title = f"one cold blob of {bench.scale.big / 2**20:.0f} MB, {clients} clients"
    return Figure("cold-crowd", title, "s", more_is_better=False, samples=samples, goals=goals)


def _measure(bench: Bench, *, clients: int, rounds: int, names: list[str] | None = None) -> Samples:
    with bench.up(*(names or ())) as running:
        samples: dict[str, list[Sample]] = {name: [] for name in running}
        for turn in range(rounds):
            image = bench.new_blobs.next()
            for name in rotated(list(running), turn):
                bench.settle(running)
                samples[name].append(_pull_new(bench, running[name], image, clients))
    return samples


def _pull_new(bench: Bench, server: Running, image: Image, clients: int) -> Sample:
    """`clients` pull the image's new layer at once, each once; afterwards its bytes are checked."""
    faults = pulls.pull_manifest(server, image)
    layer = image.layers[0]
    machine.recycle_memory(bench.upstream.blob(image, layer))
    server.reset_peaks()
    before = len(bench.upstream.requests(server.name))
    command = bench.client.command(
        server.port,
        [(server.blob_path(image, layer.digest), layer.size)],
        connections=clients,
        requests=clients,
        headers=server.headers(image),
    )
    seen = load.run(command)
    peaks = server.peaks()
    bench.settle({server.name: server})
    asked = [line for line in bench.upstream.requests(server.name)[before:] if layer.digest in line]
    return Sample(
        seen.seconds,
        {
            "first_byte_p50_ms": seen.first_byte_ms.p50,
            "first_byte_p99_ms": seen.first_byte_ms.p99,
            "peak_rss_mib": max(peaks),
            "upstream_gets": sum(line.startswith("GET ") for line in asked),
            "upstream_bytes_x": sum(int(line.split()[2]) for line in asked) / layer.size,
        },
        (*faults, *seen.faults, *pulls.check_blob(server, image, layer)),
    )
