"""Why a stream of bytes is not taken for the blob that it should be."""

from proxy_core.reference import Digest
from proxy_core.upstream import FailureKind, UpstreamFailure


def wrong_digest(digest: Digest) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="digest_mismatch",
        cause=f"The upstream sent other bytes than {digest} stands for.",
        fix="Nothing was kept. Pull again; if it stays, the upstream's copy is damaged.",
    )


def broken(digest: Digest, what: str) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.OUTAGE,
        status=None,
        reason="short_body",
        cause=f"The upstream's stream of {digest} {what}.",
        fix="Pull again in a moment.",
    )


def misplaced(digest: Digest) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="bad_range",
        cause=f"The upstream sent another part of {digest} than it was asked for.",
        fix="Pull again; if it stays, the upstream is damaged.",
    )


def too_long(digest: Digest, total: int) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="too_long",
        cause=f"The upstream sends more than the {total} bytes that {digest} has.",
        fix="Nothing was kept. Pull again; if it stays, the upstream's copy is damaged.",
    )


def contradictory(digest: Digest) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="contradictory",
        cause=f"The upstream sends other bytes for {digest} each time it is asked.",
        fix="Nothing was kept. Pull again; if it stays, the upstream is damaged.",
    )


def too_large(digest: Digest, limit: int) -> UpstreamFailure:
    return UpstreamFailure(
        kind=FailureKind.INVALID,
        status=None,
        reason="too_large",
        cause=f"The blob {digest} is larger than the {limit} bytes that max_blob allows.",
        fix="Raise max_blob of the upstream in the configuration if the image really is that large.",
    )
