"""One request and its answer, as one end of a wire saw it."""

from dataclasses import dataclass
from typing import Literal

Cache = Literal["", "miss", "hit", "confirmed", "stale"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Times are those of :func:`time.perf_counter`: the ends of both wires are in one process, so they compare."""

    method: str
    path: str  # without a query
    status: int
    size: int  # bytes of the body that went over the wire
    started: float
    first_byte: float | None  # when the body began; None: there was none
    ended: float
    digest: str | None = None  # of the body; None: there was none, or its sender did not look
    cache_status: str = ""  # the header's value
    warning: str = ""

    @property
    def milliseconds(self) -> float:
        return (self.ended - self.started) * 1000

    @property
    def is_content(self) -> bool:
        """It carried a manifest or a blob."""
        return self.method == "GET" and self.status == 200 and ("/manifests/" in self.path or "/blobs/" in self.path)

    @property
    def cache(self) -> Cache:
        """What ``Cache-Status`` says (RFC 9211), in a word; empty: nothing."""
        parameters = [part.strip() for part in self.cache_status.split(";")[1:]]
        if not parameters:
            return ""
        if "hit" in parameters:
            return "stale" if any(parameter.startswith("ttl=-") for parameter in parameters) else "hit"
        return "confirmed" if "fwd=stale" in parameters else "miss"
