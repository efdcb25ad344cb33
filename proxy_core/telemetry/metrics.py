"""Metrics for Prometheus, right over all worker processes.

Each process writes its numbers into files of its own in one folder; whichever process is asked adds them all up
(prometheus-client's multiprocess mode). The folder belongs to one run of the server.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import Metric

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """All metrics of this process.

    :param folder: where the processes of this run write their numbers.
    """

    def __init__(self, folder: Path) -> None:
        # The library reads this when it is imported: its only way to be told.
        os.environ[_FOLDER] = str(folder)
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self._folder = folder
        registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"runner_bridge_{name}", text, labels, registry=registry)

        self.requests = counter("requests", "Requests answered.", "resource", "method", "status")
        self.sent_bytes = counter("sent_bytes", "Bytes of bodies sent to clients.", "resource", "cache")
        self.answers = counter("cache_answers", "Answers by how the cache came to them.", "resource", "cache")
        self.stale = counter("stale_answers", "Copies served because the upstream failed.", "upstream", "cause")
        self.fills = counter("fills", "Fills of blobs that this cache ended.", "outcome")
        self.filled_bytes = counter("filled_bytes", "Bytes of blobs that were filled and kept.")
        self.uncached = counter("uncached_blobs", "Blobs passed through since they could not be kept.")
        self.upstream_requests = counter("upstream_requests", "Requests to upstreams.", "upstream", "kind", "outcome")
        self.log_lines_dropped = counter("log_lines_dropped", "Log lines that nobody took in time.")
        self.fills_running = Gauge(
            "runner_bridge_fills_running",
            "Fills that run now.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def page(self, extra: Iterable["Metric"]) -> bytes:
        """The page for Prometheus: the sum of all processes, and what else is known at this moment."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        registry.register(_Fixed(list(extra)))
        return generate_latest(registry)


def gauge(name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]) -> "Metric":
    """A gauge that is read when it is asked for."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"runner_bridge_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def forget_process(folder: Path, pid: int) -> None:
    """A process ended: its gauges count no more, its counters do."""
    for path in folder.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


class _Fixed:
    def __init__(self, metrics: "list[Metric]") -> None:
        self._metrics = metrics

    def collect(self) -> "Iterable[Metric]":
        return self._metrics
