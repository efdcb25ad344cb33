"""What stands in an upstream's headers, as values. Nothing here raises: what makes no sense counts as not said."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

#: Longest pause, in seconds, that an upstream may ask for.
MAX_RETRY_AFTER: Final = 24 * 3600.0

_QUOTA_HEADERS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Docker-RateLimit-Source")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_RATE = re.compile(r"([0-9]{1,18})(?:[ \t]*;[ \t]*w=([0-9]{1,18}))?(?:[ \t]*[;,].*)?", re.ASCII)
_RANGE = re.compile(r"bytes[ \t]+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)
_LINK = re.compile(r"[ \t,]*<([^>]*)>([^,\"]*(?:\"[^\"]*\"[^,\"]*)*)", re.ASCII)
_NEXT = re.compile(
    r";[ \t]*rel[ \t]*=[ \t]*(?:\"(?:[^\"]*[ \t])?next(?:[ \t][^\"]*)?\"|next(?=[ \t;]|$))", re.IGNORECASE | re.ASCII
)
_VISIBLE = re.compile(r"[\x20-\x7e]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuotaReading:
    """How often an account may still ask, as Docker Hub says it: ``RateLimit-Limit: 100;w=21600``.

    ``source`` is what the upstream counts by: an address or the identifier of an account.
    """

    limit: int
    remaining: int
    window_seconds: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The place of a part in its whole (RFC 9110, section 14.4); ``total`` is ``None`` for ``*``."""

    start: int
    end: int  # of the last byte
    total: int | None

    @property
    def length(self) -> int:
        return self.end + 1 - self.start


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from ``now`` (a POSIX time), given as seconds or as a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    value = value.strip()
    if _NUMBER.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else None


def quota_reading(headers: httpx2.Headers) -> QuotaReading | None:
    """The quota that an answer tells, if it tells one."""
    limit = _RATE.fullmatch(headers.get("RateLimit-Limit", "").strip())
    remaining = _RATE.fullmatch(headers.get("RateLimit-Remaining", "").strip())
    if limit is None or remaining is None:
        return None
    window = limit[2] or remaining[2]
    source = headers.get("Docker-RateLimit-Source", "").strip()
    return QuotaReading(
        limit=int(limit[1]),
        remaining=int(remaining[1]),
        window_seconds=int(window) if window else None,
        source=source if _VISIBLE.fullmatch(source) else None,
    )


def quota_headers(headers: httpx2.Headers) -> Mapping[str, str]:
    """The headers about a quota that may be passed on as they are."""
    told = ((name, headers.get(name, "").strip()) for name in _QUOTA_HEADERS)
    return {name: value for name, value in told if _VISIBLE.fullmatch(value)}


def content_length(headers: httpx2.Headers) -> int | None:
    """The length of a body that is not sent in chunks."""
    value = headers.get("Content-Length", "").strip()
    if "Transfer-Encoding" in headers or not _NUMBER.fullmatch(value):
        return None
    return int(value)


def content_range(value: str | None) -> ContentRange | None:
    """A ``Content-Range`` in bytes that is possible."""
    found = _RANGE.fullmatch((value or "").strip())
    if found is None:
        return None
    total = None if found[3] == "*" else int(found[3])
    part = ContentRange(int(found[1]), int(found[2]), total)
    if part.length < 1 or (total is not None and part.end >= total):
        return None
    return part


def media_type(headers: httpx2.Headers) -> str:
    """The type of a body without its parameters, in lower case; empty if there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def next_link(headers: httpx2.Headers) -> str | None:
    """The address of the next page (RFC 8288; distribution specification, "Listing Tags")."""
    for value in headers.get_list("Link"):
        at = 0
        while (link := _LINK.match(value, at)) is not None:
            if _NEXT.search(link[2]):
                return link[1].strip()
            at = link.end()
    return None
