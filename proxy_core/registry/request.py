"""A request as a value: parsed once, by the specification's grammar, before anything is touched."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_to_bytes

from proxy_core.errors import NameInvalid, NameUnknown, Unsupported
from proxy_core.reference import (
    WIRE_MARKER,
    Digest,
    Image,
    Reference,
    Repository,
    canonical_upstream,
    is_registry_host,
    parse_digest,
    parse_path,
    parse_reference,
    parse_wire_name,
)

_LONGEST_PATH = 1024
_LONGEST_QUERY = 4096
ALLOWED = {"Allow": "GET, HEAD"}


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a request that matter to a registry, as they came."""

    authorization: bytes | None = None
    accept: tuple[bytes, ...] = ()
    if_none_match: bytes | None = None
    range: bytes | None = None
    if_range: bytes | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The repository that a path names, and under which name: as a token's scope writes it."""

    image: Image
    wire_name: str
    namespace: str | None = None  # the ?ns= of containerd and BuildKit


@dataclass(frozen=True, slots=True)
class Ping:
    """``/v2/``: is this a registry, and is my token good?"""


@dataclass(frozen=True, slots=True)
class ManifestRequest:
    place: Place
    reference: Reference


@dataclass(frozen=True, slots=True)
class BlobRequest:
    place: Place
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagsRequest:
    place: Place


@dataclass(frozen=True, slots=True)
class ReferrersRequest:
    place: Place
    digest: Digest


PullRequest = ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest


def parse_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Names come in lower case (ASGI). ``Accept`` may come in several lines; of the others the first counts."""
    found: dict[bytes, bytes] = {}
    accept = []
    for name, value in headers:
        if name == b"accept":
            accept.append(value)
        elif name in _KEPT:
            found.setdefault(name, value)
    return Headers(
        authorization=found.get(b"authorization"),
        accept=tuple(accept),
        if_none_match=found.get(b"if-none-match"),
        range=found.get(b"range"),
        if_range=found.get(b"if-range"),
    )


_KEPT = frozenset({b"authorization", b"if-none-match", b"range", b"if-range"})


def parse_target(raw_path: bytes, query: bytes, mirror: str | None) -> Ping | PullRequest:
    """What a path below ``/v2`` asks for.

    :param raw_path: as it came, still percent-encoded.
    :param mirror: the group behind the doors at the root, if they are open.
    :raises NameInvalid: a name that the grammar does not allow.
    :raises DigestInvalid: a digest that it does not allow.
    :raises NameUnknown: no such route, or the root's doors are closed.
    """
    path = _decoded(raw_path)
    if path in ("/v2", "/v2/"):
        return Ping()
    name, resource, last = _split(path)
    place = _place(name, query, mirror)
    match resource:
        case "manifests":
            return ManifestRequest(place, parse_reference(last))
        case "blobs":
            return BlobRequest(place, parse_digest(last))
        case "referrers":
            return ReferrersRequest(place, parse_digest(last))
        case _:
            return TagsRequest(place)


def refuse_method(method: str) -> None:
    """:raises Unsupported: anything but GET and HEAD: a pull-through cache takes nothing."""
    if method not in ("GET", "HEAD"):
        raise Unsupported(
            f"{method} is not supported: this is a pull-through cache, it takes no pushes and deletes nothing.",
            "Push to the registry itself. To clear the cache use: runner-bridge cache purge GROUP [IMAGE[:TAG]].",
            headers=ALLOWED,
        )


def _decoded(raw_path: bytes) -> str:
    if len(raw_path) > _LONGEST_PATH:
        raise NameInvalid("The path is too long.", "Repository names have at most 255 characters, tags 128.")
    if b"%" in raw_path:
        if b"%2f" in raw_path.lower():
            raise NameInvalid("The path has an encoded slash.", "Write the slashes of a name as they are.")
        raw_path = unquote_to_bytes(raw_path)
    try:
        return raw_path.decode("ascii")
    except UnicodeDecodeError as error:
        raise NameInvalid("The path is not ASCII.", "Repository names are lower-case letters and digits.") from error


def _split(path: str) -> tuple[str, str, str]:
    """Name, resource and the last segment of a path."""
    name, _, last = path.removeprefix("/v2/").rpartition("/")
    name, _, resource = name.rpartition("/")
    if name and (resource in ("manifests", "blobs", "referrers") or (resource == "tags" and last == "list")):
        return name, resource, last
    raise NameUnknown(
        "There is no such path here.",
        "Below /v2/ there are NAME/manifests/REFERENCE, NAME/blobs/DIGEST, NAME/tags/list and NAME/referrers/DIGEST.",
    )


def _place(name: str, query: bytes, mirror: str | None) -> Place:
    image = parse_wire_name(name, mirror)
    namespace = _namespace(query)
    if namespace is None or canonical_upstream(namespace) == image.repository.upstream:
        return Place(image, name, namespace)
    # The client says beside the path which registry it means. The name for the token's scope then has the registry in
    # it: so one scope means one image, whichever way it is written.
    upstream = canonical_upstream(namespace)
    group, marker, path = name.rpartition(WIRE_MARKER)
    return Place(
        Image(image.group, Repository(upstream, parse_path(path))), f"{group}{marker}{upstream}/{path}", namespace
    )


def _namespace(query: bytes) -> str | None:
    if b"ns=" not in query:
        return None
    if len(query) > _LONGEST_QUERY:
        raise NameInvalid("The query is too long.", "Send ?ns=REGISTRY alone.")
    value = parse_qs(query.decode("ascii", "replace")).get("ns", [""])[0].lower()
    if not value:
        return None
    if value != "localhost" and not is_registry_host(value):
        raise NameInvalid("The ns of the query is no registry's host.", "Send ?ns=HOST or ?ns=HOST:PORT.")
    return value
