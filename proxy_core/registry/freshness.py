"""What the headers of an answer say of its way here, its age and its trouble.

``Cache-Status`` is RFC 9211's, ``Age`` RFC 9111's (section 5.1), and ``Warning`` the distribution specification's
(section "Warnings"): code 299, agent ``-``, no date, a quoted text.
"""

from proxy_core.cache.failures import Trouble
from proxy_core.cache.manifests import State
from proxy_core.registry.replies import HeaderList, encoded

_CACHE = "runner-bridge"
_LONGEST_WARNING = 1024  # bytes; the specification allows 4096 for all of an answer


def freshness_headers(
    state: State, *, confirmed_at: float | None, now: float, trouble: Trouble | None = None, kept: bool = True
) -> HeaderList:
    """The headers for an answer from the cache.

    :param confirmed_at: when the upstream last said so (seconds since the epoch); ``None``: it needs no confirming.
    :param kept: whether the bytes are in the cache now, or will be.
    """
    age = 0 if confirmed_at is None else max(0, int(now - confirmed_at))
    headers = {"Cache-Status": _status(state, age, trouble, kept)}
    if confirmed_at is not None and state in (State.HIT, State.STALE):
        headers["Age"] = str(age)
    if trouble:
        text = f"The upstream failed, and this is the copy from its last confirmation: {trouble.cause}"
        headers["Warning"] = f'299 - "{_quotable(text)[:_LONGEST_WARNING]}"'
    return encoded(headers)


def _status(state: State, age: int, trouble: Trouble | None, kept: bool) -> str:
    """``hit`` and ``fwd`` exclude each other: either the cache alone answered, or the upstream was asked."""
    if state is State.HIT:
        return f"{_CACHE}; hit"
    if state is State.STALE:
        detail = f'; detail="{_quotable(trouble.kind)}"' if trouble else ""
        return f"{_CACHE}; hit; ttl=-{age}{detail}"
    if state is State.REVALIDATED:
        return f"{_CACHE}; fwd=stale; fwd-status=200"
    return f"{_CACHE}; fwd=uri-miss" + ("; stored" if kept else "")


def _quotable(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")
