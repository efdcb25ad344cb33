"""Addresses that an upstream names: of its token endpoint, of its CDN, of the next page."""

import re
from ipaddress import ip_address

import httpx2

_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_LONGEST = 253


def named_address(text: str, base: httpx2.URL | None = None) -> httpx2.URL | None:
    """An address by http or https, perhaps relative to another one, without user and fragment.

    ``None``: it is none, or its host is neither an IP address nor a name as DNS has them. httpx2 lets more through,
    and falls over it later.
    """
    try:
        url = httpx2.URL(text) if base is None else base.join(text)
        if not text or url.scheme not in ("http", "https") or not _is_host(ascii_host(url)):
            return None
        bare = url.copy_with(fragment=None, username=None, password=None)
        return bare if bare.host and bare.origin else None
    except (httpx2.InvalidURL, ValueError):  # what idna and ipaddress raise are ValueErrors
        return None


def ascii_host(url: httpx2.URL) -> str:
    """The host as it stands in DNS: in lower case, without the root's dot."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


def _is_host(text: str) -> bool:
    if _NAME.fullmatch(text):
        return len(text) <= _LONGEST
    return bool(ip_address(text))
