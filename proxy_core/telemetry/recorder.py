"""Where each request ends: in the access log and in the metrics."""

import itertools
import os
import time
from collections.abc import Mapping
from typing import Any

from proxy_core.telemetry.exchange import Exchange
from proxy_core.telemetry.logs import AccessLog, Event
from proxy_core.telemetry.metrics import Metrics

_LONGEST_PATH = 512  # characters of a path in a log line


class Recorder:
    """Gives requests their ids and takes them down when they are answered."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, event: Event) -> None:
        self.metrics = metrics
        self.access_log = access_log
        self.event = event
        self._prefix = os.urandom(5).hex()
        self._numbers = itertools.count(1)

    def request_id(self) -> str:
        """Unique over processes and restarts."""
        return f"{self._prefix}{next(self._numbers):06x}"

    def begin(self, scope: Mapping[str, Any], client: str) -> Exchange:
        path = scope["raw_path"].decode("latin-1")[:_LONGEST_PATH]
        return Exchange(self.request_id(), scope["method"], path, client, time.perf_counter())

    def end(self, exchange: Exchange) -> None:
        self.access_log.exchange(exchange, time.perf_counter() - exchange.started)
        self.count(exchange, 1)

    def count(self, exchange: Exchange, times: int) -> None:
        """Add what so many requests like this one did to the metrics."""
        metrics = self.metrics
        method = exchange.method if exchange.method in _METHODS else "other"
        metrics.requests.labels(exchange.resource, method, str(exchange.status)).inc(times)
        if exchange.sent:
            metrics.sent_bytes.labels(exchange.resource, exchange.state or "none").inc(exchange.sent * times)
        if exchange.state:
            metrics.answers.labels(exchange.resource, exchange.state).inc(times)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
