"""What every server under test has in common; the servers themselves are in `peers` and `proxy`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ci.bench.images import MEGABYTE, Image
from ci.bench.processes import peak_rss, reset_peak, workers_of

ACCEPT = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


def no_credentials(_repository: str) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready, and how to pull from it.

    `prefix` stands before the repository in its paths; `credentials` gives the header lines that pull a repository.
    """

    name: str
    port: int
    pid: int
    ready_seconds: float
    prefix: str = "/v2/"
    credentials: Callable[[str], list[str]] = no_credentials

    def manifest_path(self, image: Image, reference: str) -> str:
        return f"{self.prefix}{image.repository}/manifests/{reference}"

    def blob_path(self, image: Image, digest: str) -> str:
        return f"{self.prefix}{image.repository}/blobs/{digest}"

    def headers(self, image: Image) -> list[str]:
        return [ACCEPT, *self.credentials(image.repository)]

    def workers(self) -> list[int]:
        return workers_of(self.pid)

    def reset_peaks(self) -> None:
        """Lets `peaks` count from now on."""
        for pid in self.workers():
            reset_peak(pid)

    def peaks(self) -> list[float]:
        """The largest resident memory of each worker, in MiB."""
        return [peak_rss(pid) / MEGABYTE for pid in self.workers()]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server may work: an empty folder, a free port, and the upstream that it caches."""

    folder: Path
    port: int
    upstream_url: str
    upstream_tree: Path


class Server(Protocol):
    """A kind of server that the benchmark can start."""

    @property
    def name(self) -> str: ...

    def missing(self) -> str | None:
        """Why it cannot run on this machine; None: it can."""

    def version(self) -> str: ...

    def start(self, place: Place) -> AbstractContextManager[Running]:
        """Runs it, with an empty cache, from its readiness to the end of the block."""
