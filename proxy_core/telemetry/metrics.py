"""Metrics for Prometheus, right over all worker processes.

Each process writes its numbers into files of its own in one folder; whichever process is asked adds them all up
(prometheus-client's multiprocess mode). The folder belongs to one run of the server.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy_core.errors import StorageError

if TYPE_CHECKING:
    from prometheus_client import Metric

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_FILE_SIZE: Final = 1024 * 1024  # as the library makes them; some thousand numbers
_ENDED: Final = "counter_ended.db"


class Metrics:
    """All metrics of this process.

    :param folder: where the processes of this run write their numbers; :func:`prepare_folder` has prepared it.
    :raises StorageError: there is no room in it.
    """

    def __init__(self, folder: Path) -> None:
        # The library reads this when it is imported: its only way to be told.
        os.environ[_FOLDER] = str(folder)
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self._folder = folder
        for kind in ("counter", "gauge_livesum"):
            _reserve(folder / f"{kind}_{os.getpid()}.db")
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


def prepare_folder(folder: Path) -> None:
    """Make the folder ready for the processes of a run. See also :func:`forget_process`.

    :raises StorageError: there is no room for it.
    """
    _reserve(folder / _ENDED)


def forget_process(folder: Path, pid: int) -> None:
    """A process ended: its gauges count no more, its counters are added to those of all that have ended."""
    for path in folder.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
    counters = folder / f"counter_{pid}.db"
    if not counters.exists():  # it died before it had any
        return
    from prometheus_client.mmap_dict import MmapedDict

    ended = MmapedDict(str(folder / _ENDED))  # type: ignore[no-untyped-call]
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(counters)):  # type: ignore[no-untyped-call]
        known, _ = ended.read_value(key)  # type: ignore[no-untyped-call]
        ended.write_value(key, known + value, 0.0)  # type: ignore[no-untyped-call]
    ended.close()  # type: ignore[no-untyped-call]
    counters.unlink()


def _reserve(file: Path) -> None:
    """Give a file its room now: the library would leave holes in it, and the kernel kills a process that writes into a
    hole of a mapped file when the disk is full."""
    try:
        with file.open("ab") as opened:
            os.posix_fallocate(opened.fileno(), 0, _FILE_SIZE)
    except OSError as error:
        raise StorageError(
            f"There is no room for the metrics in {file.parent}: {error.strerror}.",
            "Make room there, or set TMPDIR to a folder with some.",
        ) from error


class _Fixed:
    def __init__(self, metrics: "list[Metric]") -> None:
        self._metrics = metrics

    def collect(self) -> "Iterable[Metric]":
        return self._metrics
