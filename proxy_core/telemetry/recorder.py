"""Where each request ends: in the access log and in the metrics."""

import itertools
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
        self._tallies: dict[tuple[str, str, int, str | None], _Tally] = {}

    def request_id(self) -> str:
        """Unique over processes and restarts."""
        return f"{self._prefix}{next(self._numbers):06x}"

    def begin(self, scope: Mapping[str, Any], client: str) -> Exchange:
        path = scope["raw_path"].decode("latin-1")[:_LONGEST_PATH]
        return Exchange(self.request_id(), scope["method"], path, client, time.time())

    def end(self, exchange: Exchange) -> None:
        self.access_log.exchange(exchange)
        self.count(exchange, 1)

    def count(self, exchange: Exchange, times: int) -> None:
        """So many requests were like this one; the metrics know it after the next :meth:`settle`."""
        method = exchange.method if exchange.method in _METHODS else "other"
        key = (exchange.resource, method, exchange.status, exchange.state)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.times += times
        tally.sent += times * exchange.sent

    def settle(self) -> None:
        """Bring the metrics up to date. They live in files that all processes share: too slow for each request."""
        tallies, self._tallies = self._tallies, {}
        for (resource, method, status, state), tally in tallies.items():
            self.metrics.requests.labels(resource, method, str(status)).inc(tally.times)
            if tally.sent:
                self.metrics.sent_bytes.labels(resource, state or "none").inc(tally.sent)
            if state:
                self.metrics.answers.labels(resource, state).inc(tally.times)


@dataclass(slots=True)
class _Tally:
    times: int = 0
    sent: int = 0


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
