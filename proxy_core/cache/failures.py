"""What a client is told when the upstream fails and there is no copy."""

import math
from dataclasses import dataclass

from proxy_core.errors import (
    BlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    TooManyRequests,
    Unavailable,
    UpstreamBroken,
)
from proxy_core.reference import Digest, Reference, Repository
from proxy_core.upstream import FailureKind, UpstreamFailure


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a copy is served though it should be confirmed first."""

    kind: str  # a FailureKind
    cause: str

    @staticmethod
    def of(failure: UpstreamFailure) -> "Trouble":
        return Trouble(failure.kind.value, failure.cause)


def as_answer(
    failure: UpstreamFailure, repository: Repository, wanted: Reference | None, *, blob: bool
) -> RegistryError:
    """The error that a client gets for an upstream's failure: the upstream's cause, in our words.

    401 and 403 of the upstream are about the proxy's account there, so they are never passed on: the client would
    doubt its own. Registries, Docker Hub first of all, also answer them for repositories that do not exist.
    """
    if failure.kind is FailureKind.NOT_FOUND:
        return _unknown(repository, wanted, blob=blob)
    if failure.kind is FailureKind.LIMITED:
        headers = dict(failure.headers)
        headers["Retry-After"] = str(math.ceil(failure.retry_after if failure.retry_after is not None else 60))
        return TooManyRequests(failure.cause, failure.fix, headers=headers)
    if failure.kind is FailureKind.ACCOUNT:
        return NameUnknown(
            f"{repository.upstream} does not give {repository.path} to this proxy ({failure.cause.rstrip('.')}).",
            "Check the name of the image. If it is a private one, the proxy needs an account there that may pull it: "
            f"username and password_file of the upstream {repository.upstream}.",
        )
    if failure.kind is FailureKind.OUTAGE:
        seconds = math.ceil(failure.retry_after if failure.retry_after is not None else 5)
        return Unavailable(failure.cause, failure.fix, headers={"Retry-After": str(seconds)})
    return UpstreamBroken(failure.cause, failure.fix)


def _unknown(repository: Repository, wanted: Reference | None, *, blob: bool) -> RegistryError:
    if blob:
        return BlobUnknown(
            f"{repository.upstream} has no blob {wanted} in {repository.path}.", "Pull the image by its tag again."
        )
    if wanted is None:
        return NameUnknown(
            f"{repository.upstream} has no repository {repository.path}.", "Check the name of the image."
        )
    kind = "manifest" if isinstance(wanted, Digest) else "tag"
    return ManifestUnknown(
        f"{repository.upstream} has no {kind} {wanted} in {repository.path}.",
        "Check the name and the tag of the image.",
    )
