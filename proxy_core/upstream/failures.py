"""What goes wrong with an upstream: one exception, with a kind that decides what may be done about it."""

import socket
import ssl
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import httpcore2

from proxy_core.errors import ProxyError


class FailureKind(StrEnum):
    """How a failure is to be treated; each kind has its own rule for what is cached."""

    NOT_FOUND = "not_found"  # the upstream says that there is no such thing
    LIMITED = "limited"  # we asked too often
    ACCOUNT = "account"  # our credentials, or the lack of them
    OUTAGE = "outage"  # away, broken or slow: asking again later may help
    INVALID = "invalid"  # an answer that can not be used: asking again will not help


class UpstreamFailure(ProxyError):
    """An upstream did not give what it was asked for.

    :param reason: a short slug for metrics and logs, e.g. ``refused``, ``dns``, ``status_503``, ``digest_mismatch``.
    :param cause: one line for a reader, which names the upstream. Neither it nor ``fix`` holds a token, a password or
        the query of an address.
    :param status: the HTTP status, if there was an answer.
    :param retry_after: seconds after which the upstream wants to be asked again.
    :param headers: the upstream's quota headers, to be passed on.
    """

    def __init__(
        self,
        kind: FailureKind,
        reason: str,
        cause: str,
        fix: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(cause, fix)
        self.kind = kind
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.headers = dict(headers or {})


class TooSlow(Exception):
    """A body came below the least rate."""


class TooLarge(Exception):
    """A body is larger than what is read of its kind."""


class Encoded(Exception):
    """A body came compressed although we asked for it as it is."""


#: What sockets, TLS and HTTP raise when an answer does not come, or not whole.
FAULTS: Final = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    OSError,
    TooSlow,
    TooLarge,
    Encoded,
)

_UNREACHABLE: Final = "Check the upstream's url, and whether this machine can reach it."
_ODD: Final = "Check the upstream's url, and what stands before it."
_REASONS: Final[Mapping[str, tuple[FailureKind, str, str]]] = {
    "refused": (FailureKind.OUTAGE, "{host} refuses connections", _UNREACHABLE),
    "dns": (FailureKind.OUTAGE, "the name {host} does not resolve", "Check the upstream's url and this machine's DNS."),
    "tls": (
        FailureKind.OUTAGE,
        "no TLS connection to {host} ({detail})",
        "If its certificate comes from a private authority, name that authority's file in the upstream's ca_file.",
    ),
    "timeout": (
        FailureKind.OUTAGE,
        "{host} did not answer in time",
        "Try again later. The times are the upstream's `timeouts`.",
    ),
    "slow": (FailureKind.OUTAGE, "{host} sends too slowly to go on", "Try again later."),
    "busy": (FailureKind.OUTAGE, "too many requests to {host} are under way", "Try again later."),
    "proxy": (
        FailureKind.OUTAGE,
        "the HTTP proxy does not lead to {host}",
        "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and what that proxy allows.",
    ),
    "broken": (FailureKind.OUTAGE, "{host} broke the connection or spoke no HTTP", "Try again later."),
    "unreachable": (FailureKind.OUTAGE, "{host} can not be reached", _UNREACHABLE),
    "headers_too_large": (FailureKind.INVALID, "the headers from {host} are too large", _ODD),
    "too_large": (
        FailureKind.INVALID,
        "{host} sends more than is taken of this kind",
        "If it really is that large, raise the upstream's max_manifest or max_blob.",
    ),
    "encoded": (FailureKind.INVALID, "{host} compresses an answer against our request", _ODD),
}


def failure_of_error(error: BaseException, upstream: str, host: str) -> UpstreamFailure:
    """The failure behind one of :data:`FAULTS`.

    :param host: the host that was asked: the upstream's, its token endpoint's or its CDN's.
    """
    reason = _reason(error)
    kind, text, fix = _REASONS[reason]
    return UpstreamFailure(kind, reason, f"{upstream}: {text.format(host=host, detail=_tls_detail(error))}.", fix)


def _reason(error: BaseException) -> str:
    direct: tuple[tuple[type[BaseException], str], ...] = (
        (TooSlow, "slow"),
        (TooLarge, "too_large"),
        (Encoded, "encoded"),
        (httpcore2.PoolTimeout, "busy"),
        (httpcore2.TimeoutException, "timeout"),
        (TimeoutError, "timeout"),
        (httpcore2.ProxyError, "proxy"),
    )
    for kind, reason in direct:
        if isinstance(error, kind):
            return reason
    inner: tuple[tuple[type[BaseException], str], ...] = (
        (socket.gaierror, "dns"),
        (UnicodeError, "dns"),
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
    )
    chain = _chain(error)
    for kind, reason in inner:
        if any(isinstance(each, kind) for each in chain):
            return reason
    # h11 says by the status that a server would answer (RFC 6585, section 5) that headers ran over its buffer.
    if any(getattr(each, "error_status_hint", None) == 431 for each in chain):
        return "headers_too_large"
    return "unreachable" if isinstance(error, httpcore2.ConnectError) else "broken"


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that it stands for: httpcore2 hands the original on as its argument, anyio as the cause."""
    chain = [error]
    while len(chain) < 6:
        last = chain[-1]
        inner = last.args[0] if last.args and isinstance(last.args[0], BaseException) else last.__cause__
        if inner is None:
            break
        chain.append(inner)
    return chain


def _tls_detail(error: BaseException) -> str:
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message.rstrip(".")
        if isinstance(each, ssl.SSLError):
            return str(each.reason or "handshake failed").lower().replace("_", " ")
    return ""
