"""Pull tokens of upstreams: whom to ask for one, what the answer says, and what is remembered.

The flow is Docker's ("Token Authentication Specification" of distribution): a challenge names a realm, the realm gives
a token for a scope, the token is sent along until it expires.
"""

import json
import re
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

import httpx2

from proxy_core.settings.model import Upstream
from proxy_core.upstream.addresses import ascii_host, named_address
from proxy_core.upstream.challenge import Challenge
from proxy_core.upstream.failures import FailureKind, UpstreamFailure

#: Bytes of a token endpoint's answer that are read at most.
MAX_TOKEN_ANSWER: Final = 1024 * 1024

_DEFAULT_LIFETIME: Final = 60.0  # seconds, where an answer does not tell (the specification's default)
_MAX_LIFETIME: Final = 3600.0
_MARGIN: Final = 10.0  # seconds before its end from which a token is not used any more
_MAX_TOKEN: Final = 64 * 1024
_OPEN_LABELS: Final = frozenset(
    {"ac", "co", "com", "edu", "go", "gob", "gov", "ltd", "mil", "ne", "net", "or", "org", "plc"}
)
_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    """What is sent as ``Authorization``, and for how many seconds it is good."""

    authorization: str = field(repr=False)
    lifetime: float = _DEFAULT_LIFETIME


class Grants:
    """Grants by repository, until shortly before they expire. Bounded (the least used goes), for several threads."""

    def __init__(self, clock: Callable[[], float], limit: int = 1024) -> None:
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def get(self, path: str) -> str | None:
        with self._lock:
            authorization, until = self._known.get(path, ("", 0.0))
            if not authorization:
                return None
            if self._clock() >= until:
                del self._known[path]
                return None
            self._known.move_to_end(path)
            return authorization

    def put(self, path: str, grant: Grant) -> None:
        margin = min(_MARGIN, grant.lifetime / 4)
        with self._lock:
            self._known[path] = (grant.authorization, self._clock() + grant.lifetime - margin)
            self._known.move_to_end(path)
            while len(self._known) > self._limit:
                self._known.popitem(last=False)

    def forget(self, path: str, authorization: str) -> None:
        """Drop a grant that was refused, unless another one took its place."""
        with self._lock:
            if self._known.get(path, ("", 0.0))[0] == authorization:
                del self._known[path]


def basic(settings: Upstream) -> str | None:
    """The configured account as ``Authorization``."""
    if settings.username is None:
        return None
    pair = f"{settings.username}:{settings.password or ''}"
    return "Basic " + b64encode(pair.encode()).decode()


def chosen(challenges: list[Challenge]) -> Challenge | None:
    """The challenge to answer: Bearer before Basic, anything else not at all."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return None


def token_url(challenge: Challenge, path: str, settings: Upstream) -> httpx2.URL:
    """Where to ask for a token to pull from this repository.

    The scope is always ours, whatever the challenge proposes: pull, and of this repository only.

    :raises UpstreamFailure: ``INVALID`` if the realm is no address of the upstream's own site, or lies open (http)
        while the upstream is asked by https.
    """
    home = httpx2.URL(settings.url)
    realm = named_address(challenge.parameters.get("realm", ""))
    if realm is None:
        raise _realm_refused(settings, "bad_realm", "no usable token endpoint")
    if realm.scheme == "http" and home.scheme == "https":
        raise _realm_refused(settings, "open_realm", f"the token endpoint http://{realm.host}, which is not encrypted")
    if not same_site(ascii_host(home), ascii_host(realm)):
        raise _realm_refused(settings, "foreign_realm", f"a token endpoint of another site, {realm.host}")
    wanted = {"scope": f"repository:{path}:pull"}
    if challenge.parameters.get("service"):
        wanted["service"] = challenge.parameters["service"]
    return realm.copy_merge_params(wanted)


def _realm_refused(settings: Upstream, reason: str, what: str) -> UpstreamFailure:
    return UpstreamFailure(
        FailureKind.INVALID,
        reason,
        f"{settings.name} names {what}; nothing was sent there.",
        "Check the upstream's url. If it only passes on another registry, configure that one.",
    )


def read_token(content: bytes, upstream: str) -> Grant:
    """The grant in a token endpoint's answer: ``token`` or ``access_token``, and ``expires_in``.

    :raises UpstreamFailure: ``INVALID`` if there is none.
    """
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    fields = answer if isinstance(answer, dict) else {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or len(token) > _MAX_TOKEN or not _TOKEN.fullmatch(token):
        raise UpstreamFailure(
            FailureKind.INVALID, "bad_token", f"The token endpoint of {upstream} gave no usable token.", ""
        )
    told = fields.get("expires_in")
    lifetime = _DEFAULT_LIFETIME
    if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
        lifetime = min(float(told), _MAX_LIFETIME)
    return Grant(f"Bearer {token}", lifetime)


def same_site(first: str, second: str) -> bool:
    """Whether two hosts belong to one operator, judged by their names.

    Equal hosts do. Else both must be names (no address, no ``localhost``) that share their last two labels, or three
    where the last two are commonly open to everybody (``co.uk``, ``com.au``). A rule without the list of public
    suffixes; what it lets through too much was still named by the upstream itself.
    """
    if first == second:
        return True
    if _stands_alone(first) or _stands_alone(second):
        return False
    labels, others = first.split(".")[::-1], second.split(".")[::-1]
    shared = 0
    while shared < min(len(labels), len(others)) and labels[shared] == others[shared]:
        shared += 1
    open_to_all = len(labels[0]) == 2 and labels[1] in _OPEN_LABELS
    return shared >= (3 if open_to_all else 2)


def _stands_alone(host: str) -> bool:
    if "." not in host or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        # What a resolver may take for an address (127.1, 0x7f.1) ends in a label with a digit first; no domain does.
        return not host.rpartition(".")[2][:1].isalpha()
    return True
