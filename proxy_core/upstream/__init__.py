"""How to ask a registry: its token, its redirects, its limits, and what is done when it fails."""

from proxy_core.upstream.blobs import BlobStream
from proxy_core.upstream.client import UpstreamClient
from proxy_core.upstream.exchange import Observer
from proxy_core.upstream.failures import FailureKind, UpstreamFailure
from proxy_core.upstream.headers import QuotaReading
from proxy_core.upstream.listing import Bounds
from proxy_core.upstream.manifests import MANIFEST_TYPES, FetchedManifest, ManifestHead
from proxy_core.upstream.opening import Outside, open_upstream
from proxy_core.upstream.reading import Pace

__all__ = [
    "MANIFEST_TYPES",
    "BlobStream",
    "Bounds",
    "FailureKind",
    "FetchedManifest",
    "ManifestHead",
    "Observer",
    "Outside",
    "Pace",
    "QuotaReading",
    "UpstreamClient",
    "UpstreamFailure",
    "open_upstream",
]
