"""What counts as a manifest: its types, and the checks that one must pass before it is kept."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from proxy_core.errors import DigestInvalid
from proxy_core.reference import Digest, Reference, parse_digest
from proxy_core.upstream.failures import FailureKind, UpstreamFailure
from proxy_core.upstream.headers import media_type

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    OCI_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.artifact.manifest.v1+json",
)
#: What is asked for. Never Docker's first schema: it has no digest of its own bytes.
ACCEPT: Final = ", ".join(MANIFEST_TYPES)

_SCHEMA_1: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What a HEAD tells of a manifest: ``None``, or an empty type, where it does not."""

    digest: Digest | None
    media_type: str
    size: int | None  # bytes


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest, byte for byte, with the digest of these bytes."""

    digest: Digest
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ManifestCheck:
    """Judges the answers to a question for one manifest. ``subject`` as in "docker.io: the …"."""

    upstream: str
    subject: str
    reference: Reference

    def head(self, response: httpx2.Response, size: int | None) -> ManifestHead:
        """:raises UpstreamFailure: ``INVALID``: schema 1, or another digest than was asked for."""
        told = media_type(response.headers)
        if told in _SCHEMA_1:
            raise self._schema_1()
        claimed = claimed_digest(response.headers)
        asked = self.reference
        if isinstance(asked, Digest) and claimed and claimed.algorithm == asked.algorithm and claimed != asked:
            raise self._invalid("digest_mismatch", "is announced with another digest than was asked for")
        return ManifestHead(claimed, told if told in MANIFEST_TYPES else "", size)

    def whole(self, response: httpx2.Response, content: bytes) -> FetchedManifest:
        """The manifest, if its bytes are what was asked for and what the upstream says they are.

        :raises UpstreamFailure: ``INVALID``: schema 1, no JSON object, no manifest's type, a wrong digest.
        """
        told = media_type(response.headers)
        if told in _SCHEMA_1:
            raise self._schema_1()
        value = self._json(content)
        if value.get("schemaVersion") == 1:
            raise self._schema_1()
        kind = told if told in MANIFEST_TYPES else value.get("mediaType")
        if kind not in MANIFEST_TYPES:
            raise self._invalid("media_type", "is of no type that is known for manifests")
        return FetchedManifest(self._digest(response, content), str(kind), content)

    def _json(self, content: bytes) -> dict[str, Any]:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self._invalid("not_json", "is not a JSON object")
        return value

    def _digest(self, response: httpx2.Response, content: bytes) -> Digest:
        asked = self.reference if isinstance(self.reference, Digest) else None
        digest = digest_of(content, asked.algorithm if asked else "sha256")
        if asked not in (None, digest):
            raise self._invalid("digest_mismatch", "has another digest than was asked for")
        claimed = claimed_digest(response.headers)
        if claimed and digest_of(content, claimed.algorithm) != claimed:
            raise self._invalid("digest_mismatch", "has another digest than its header says")
        return digest

    def _schema_1(self) -> UpstreamFailure:
        return self._invalid("schema1", "is only there in Docker's first schema, which is not served")

    def _invalid(self, reason: str, what: str) -> UpstreamFailure:
        fix = (
            "Push the image again with a current tool."
            if reason == "schema1"
            else "Check the upstream, and what stands before it."
        )
        return UpstreamFailure(FailureKind.INVALID, reason, f"{self.upstream}: the {self.subject} {what}.", fix)


def digest_of(content: bytes, algorithm: str) -> Digest:
    """:param algorithm: ``sha256`` or ``sha512``, as in every :class:`Digest`."""
    return Digest(algorithm, hashlib.new(algorithm, content).hexdigest())


def claimed_digest(headers: httpx2.Headers) -> Digest | None:
    """``Docker-Content-Digest``; ``None`` where there is none, or one of an algorithm that is not served."""
    try:
        return parse_digest(headers.get("Docker-Content-Digest", "").strip())
    except DigestInvalid:
        return None
