"""What slow readers cost: a crowd on a cold blob, without them and with them."""

import contextlib

from ci.bench import load, pulls
from ci.bench.bench import Bench
from ci.bench.images import MEGABYTE
from ci.bench.results import OURS, Figure, Sample, value_goal

CLIENTS = 16
SLOW_CLIENTS = 20
SLOW_RATE = MEGABYTE


def slow_readers(bench: Bench) -> Figure:
    """Only runner-bridge, in fresh processes each time: what an earlier pull left behind would hide the difference."""
    samples = {OURS: [_compare(bench) for _ in range(bench.scale.crowd_rounds)]} if OURS in bench.servers else {}
    more = [sample.value for sample in samples.get(OURS, ())]
    goals = (value_goal("at most 15 MiB together more", more, "at most", 15),)
    title = f"memory that {SLOW_CLIENTS} slow readers add to {CLIENTS} fast ones of a cold blob, all workers together"
    return Figure("memory", title, "MiB", False, samples, goals)


def _compare(bench: Bench) -> Sample:
    before, faults = _peaks(bench, slow=False)
    after, more_faults = _peaks(bench, slow=True)
    details = {"peak_rss_mib": max(*before, *after), "all_without_mib": sum(before), "all_with_mib": sum(after)}
    return Sample(sum(after) - sum(before), details, (*faults, *more_faults))


def _peaks(bench: Bench, *, slow: bool) -> tuple[list[float], list[str]]:
    """The peaks of the workers, in MiB, and what was wrong."""
    image = bench.new_blobs.next()
    layer = image.layers[0]
    with bench.start(bench.servers[OURS]) as server, contextlib.ExitStack() as stack:
        faults = pulls.pull_manifest(server, image)
        targets = [(server.blob_path(image, layer.digest), layer.size)]
        headers = server.headers(image)
        server.reset_peaks()
        slow_result = None
        if slow:
            command = bench.client.command(
                server.port,
                targets,
                connections=SLOW_CLIENTS,
                seconds=bench.scale.slow_seconds,
                headers=headers,
                rate=SLOW_RATE,
            )
            slow_result = stack.enter_context(load.started(command))
        fast = load.run(
            bench.client.command(server.port, targets, connections=CLIENTS, requests=CLIENTS, headers=headers)
        )
        faults += fast.faults
        if slow_result:
            seen = slow_result()
            faults += seen.faults if seen.bytes else ("the slow readers got nothing",)
        return server.peaks(), faults
