"""The figures, by the names that `--only` takes."""

from collections.abc import Callable, Mapping

from ci.bench.bench import Bench
from ci.bench.figures import cold, memory, start, warm
from ci.bench.results import Figure

FIGURES: Mapping[str, Callable[[Bench], Figure]] = {
    "start": start.until_ready,
    "cached-pull": start.cached_pull,
    "blobs-16": warm.blobs_16,
    "blobs-64": warm.blobs_64,
    "blob-big": warm.blob_big,
    "manifests": warm.manifests,
    "cold": cold.alone,
    "cold-crowd": cold.crowd,
    "memory": memory.slow_readers,
}
