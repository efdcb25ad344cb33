"""Figures of the beginning: from exec to ready, and what a cached pull still asks upstream."""

from ci.bench import pulls
from ci.bench.bench import Bench, rotated, warm
from ci.bench.results import OURS, Figure, Sample, detail, value_goal, worst_goal


def until_ready(bench: Bench) -> Figure:
    """With an empty folder, so with all that a first start creates."""
    samples: dict[str, list[Sample]] = {name: [] for name in bench.servers}
    for turn in range(bench.scale.rounds):
        for name in rotated(list(bench.servers), turn):
            with bench.start(bench.servers[name]) as running:
                samples[name].append(Sample(running.ready_seconds))
    ours = [sample.value for sample in samples.get(OURS, ())]
    goals = (value_goal("at most 1.5 s", ours, "at most", 1.5),)
    return Figure("start", "start until ready, empty folder", "s", False, samples, goals)


def cached_pull(bench: Bench) -> Figure:
    """HEAD and GET of the manifest by digest, then all blobs, after two pulls by tag."""
    samples: dict[str, list[Sample]] = {}
    with bench.up() as running:
        for name, server in running.items():
            faults = warm(server, bench.small)
            bench.settle({name: server})
            before = len(bench.upstream.requests(name))
            faults += pulls.pull_by_digest(server, bench.small)
            bench.settle({name: server})
            asked = len(bench.upstream.requests(name)) - before
            samples[name] = [Sample(float(asked), {"upstream_requests": asked}, tuple(faults))]
    goals = (worst_goal("no upstream request", detail(samples, "upstream_requests"), 0),)
    return Figure("cached-pull", "upstream requests of a cached pull by digest", "requests", False, samples, goals)
