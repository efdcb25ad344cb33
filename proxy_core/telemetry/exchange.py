"""One request and its answer, as log and metrics want to know them."""

from dataclasses import dataclass


@dataclass(slots=True)
class Exchange:
    """Filled in while a request is answered. Holds no credential."""

    request_id: str
    method: str
    path: str
    client: str
    started: float  # seconds since the epoch
    resource: str = "other"
    status: int = 0
    sent: int = 0  # bytes of the body
    subject: str | None = None
    state: str | None = None  # how the cache answered
    upstream: str | None = None
    error: str | None = None
    detail: str | None = None
