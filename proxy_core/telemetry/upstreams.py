"""What upstreams were asked."""

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

from proxy_core.telemetry.metrics import Metrics

R = TypeVar("R")


class UpstreamRecorder(Generic[R]):
    """Counts requests to upstreams, and keeps the last reading of each quota until somebody takes it.

    Called from the event loop and from the threads of fills.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._readings: dict[tuple[str, str], R] = {}

    def request(self, upstream: str, kind: str, outcome: str) -> None:
        self._metrics.upstream_requests.labels(upstream, kind, outcome).inc()

    def quota(self, upstream: str, account: str, reading: R) -> None:
        with self._lock:
            self._readings[upstream, account] = reading

    def take(self) -> Sequence[tuple[str, str, R]]:
        """The readings since the last time: upstream, account, reading."""
        with self._lock:
            readings, self._readings = self._readings, {}
        return [(upstream, account, reading) for (upstream, account), reading in readings.items()]
