"""Answers of 300 and above as failures: what each status of an upstream means to us, and to who reads it."""

from typing import Final

import httpx2

from proxy_core.settings.model import Upstream
from proxy_core.upstream.failures import FailureKind, UpstreamFailure
from proxy_core.upstream.headers import quota_headers, retry_after

_NOT_FOUND: Final = frozenset({404, 410})
_NO_RIGHT: Final = frozenset({401, 403})


def failure_of_answer(
    response: httpx2.Response, settings: Upstream, subject: str, now: float, *, at_home: bool
) -> UpstreamFailure:
    """The failure that a status is.

    :param subject: what was asked for, e.g. ``manifest library/alpine:latest``.
    :param at_home: whether the upstream itself answered, not what it redirected to. Elsewhere 401 and 403 say nothing
        of our account: signed addresses expire.
    """
    status, name = response.status_code, settings.name
    host = response.request.url.host
    if status in _NOT_FOUND:
        return _failure(
            FailureKind.NOT_FOUND, "not_found", f"{name} has no {subject}.", "Check the name.", response, now
        )
    if status == 429:
        return _limited(response, settings, now)
    if status in _NO_RIGHT and at_home:
        cause = f"{name} does not give {_account(settings)} the {subject} ({status})."
        return _failure(FailureKind.ACCOUNT, f"status_{status}", cause, _rights(settings), response, now)
    who = name if at_home else f"{name}: {host}, to which it redirects,"
    cause = f"{who} answered {status} to a request for the {subject}."
    if status >= 500 or status in _NO_RIGHT or status == 408:
        reason = f"status_{status}" if at_home else f"redirect_status_{status}"
        return _failure(FailureKind.OUTAGE, reason, cause, "Try again later.", response, now)
    fix = "Check the upstream's url: is it a registry?"
    return _failure(FailureKind.INVALID, f"status_{status}", cause, fix, response, now)


def failure_of_token_answer(response: httpx2.Response, settings: Upstream, now: float) -> UpstreamFailure:
    """The failure that a token endpoint's status is, when it gives no token."""
    status, host = response.status_code, response.request.url.host
    if status == 429:
        return _limited(response, settings, now)
    cause = f"{settings.name}: the token endpoint {host} answered {status} to {_account(settings)}."
    if status >= 500 or status == 408:
        return _failure(FailureKind.OUTAGE, f"token_status_{status}", cause, "Try again later.", response, now)
    if status >= 400:
        return _failure(FailureKind.ACCOUNT, f"token_status_{status}", cause, _rights(settings), response, now)
    return _failure(FailureKind.INVALID, f"token_status_{status}", cause, "Check the upstream's url.", response, now)


def _limited(response: httpx2.Response, settings: Upstream, now: float) -> UpstreamFailure:
    fix = "Wait, or pull less often (freshness)."
    if settings.username is None:
        fix = "Wait, or give the upstream a username and a password_file: accounts may pull more."
    cause = f"{settings.name} limits the pulls of {_account(settings)} (429)."
    return _failure(FailureKind.LIMITED, "status_429", cause, fix, response, now)


def _failure(
    kind: FailureKind, reason: str, cause: str, fix: str, response: httpx2.Response, now: float
) -> UpstreamFailure:
    return UpstreamFailure(
        kind,
        reason,
        cause,
        fix,
        status=response.status_code,
        retry_after=retry_after(response.headers.get("Retry-After"), now),
        headers=quota_headers(response.headers),
    )


def _account(settings: Upstream) -> str:
    return "anonymous clients" if settings.username is None else f"the account {settings.username}"


def _rights(settings: Upstream) -> str:
    if settings.username is None:
        return "Does it exist? If it is private, give the upstream a username and a password_file."
    return "Does it exist, and may this account pull it? Check the upstream's username and password_file."
