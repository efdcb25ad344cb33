"""Why a stream of bytes is not taken for the blob that it should be."""

from typing import Final

from proxy_core.reference import Digest
from proxy_core.upstream import FailureKind, UpstreamFailure

_DAMAGED: Final = "Nothing was kept. Pull again; if it stays, the upstream's copy is damaged."


def wrong_digest(digest: Digest) -> UpstreamFailure:
    cause = f"The upstream sent other bytes than {digest} stands for."
    return UpstreamFailure(FailureKind.INVALID, "digest_mismatch", cause, _DAMAGED)


def broken(digest: Digest, what: str) -> UpstreamFailure:
    cause = f"The upstream's stream of {digest} {what}."
    return UpstreamFailure(FailureKind.OUTAGE, "short_body", cause, "Pull again in a moment.")


def misplaced(digest: Digest) -> UpstreamFailure:
    cause = f"The upstream sent another part of {digest} than it was asked for."
    return UpstreamFailure(FailureKind.INVALID, "bad_range", cause, _DAMAGED)


def too_long(digest: Digest, total: int) -> UpstreamFailure:
    cause = f"The upstream sends more than the {total} bytes that {digest} has."
    return UpstreamFailure(FailureKind.INVALID, "too_long", cause, _DAMAGED)


def contradictory(digest: Digest) -> UpstreamFailure:
    cause = f"The upstream sends other bytes for {digest} each time it is asked."
    return UpstreamFailure(FailureKind.INVALID, "contradictory", cause, _DAMAGED)


def too_large(digest: Digest, limit: int) -> UpstreamFailure:
    return UpstreamFailure(
        FailureKind.INVALID,
        "too_large",
        f"The blob {digest} is larger than the {limit} bytes that max_blob allows.",
        "Raise max_blob of the upstream in the configuration if the image really is that large.",
    )
