"""Names of images as values: repositories, tags and digests, parsed once.

The grammar is the OCI distribution specification's ("Pulling manifests", "Definitions"); where a name has no host the
rule is docker's: it is Docker Hub's, and without a namespace it is in ``library/``.
"""

import re
from dataclasses import dataclass
from typing import Final

from proxy_core.errors import DigestInvalid, NameInvalid, NameUnknown

DOCKER_HUB: Final = "docker.io"
_HUB_HOSTS: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})

#: What parts the group from the image in the paths of GitLab's Dependency Proxy.
WIRE_MARKER: Final = "/dependency_proxy/containers/"

#: Longest repository name. The specification asks for 255 with the host; clients refuse longer ones.
MAX_NAME: Final = 255
_HEX_LENGTH: Final = {"sha256": 64, "sha512": 128}

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?", re.ASCII
)
# GitLab's namespace segment, lower-cased: it may begin with a dot or an underscore, and must not end like a file.
_GROUP_SEGMENT = re.compile(r"[a-z0-9_.](?:[a-z0-9_.-]*[a-z0-9_-])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of a manifest or blob: ``sha256:…`` or ``sha512:…``."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a repository."""

    name: str

    def __str__(self) -> str:
        return self.name


Reference = Tag | Digest


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at an upstream: the upstream's configured name, and the full path there."""

    upstream: str
    path: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.path}"


@dataclass(frozen=True, slots=True)
class Image:
    """A repository as one group sees it. Bytes are shared between groups; rights are not."""

    group: str
    repository: Repository

    def __str__(self) -> str:
        return f"{self.group}: {self.repository}"


def parse_digest(text: str) -> Digest:
    """A digest of an algorithm that is served: lower-case hex of the right length.

    :raises DigestInvalid: anything else.
    """
    algorithm, _, hexadecimal = text.partition(":")
    if _HEX_LENGTH.get(algorithm) == len(hexadecimal) and not hexadecimal.strip("0123456789abcdef"):
        return Digest(algorithm, hexadecimal)
    raise DigestInvalid(
        f"{_shown(text)} is not a digest.",
        "A digest is sha256: and 64, or sha512: and 128, lower-case hexadecimal digits.",
    )


def parse_reference(text: str) -> Reference:
    """What stands behind ``/manifests/``: a digest when it has a colon, else a tag.

    :raises DigestInvalid: it has a colon and is not a digest.
    :raises NameInvalid: it is not a tag.
    """
    if ":" in text:
        return parse_digest(text)
    if not _TAG.fullmatch(text):
        raise NameInvalid(
            f"{_shown(text)} is not a tag.",
            "A tag has at most 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'.",
        )
    return Tag(text)


def parse_path(text: str) -> str:
    """A repository path, e.g. ``library/alpine``, checked and returned as it is.

    :raises NameInvalid: the grammar does not allow it, or it is longer than :data:`MAX_NAME`.
    """
    if len(text) > MAX_NAME or not _PATH.fullmatch(text):
        raise NameInvalid(
            f"{_shown(text)} is not a repository name.",
            "Repository names are lower-case letters and digits, with single '.', '_', '-' between them, "
            f"parted by '/', and at most {MAX_NAME} characters long.",
        )
    return text


def parse_group(text: str) -> str:
    """The full path of a GitLab group in lower case, as it stands in image prefixes.

    :raises NameInvalid: it is not one.
    """
    for segment in text.split("/"):
        if not _GROUP_SEGMENT.fullmatch(segment) or segment.endswith((".git", ".atom", ".")):
            raise NameInvalid(
                f"{_shown(text)} is not the path of a group.",
                "Write the group's full path in lower case, as the page Operate > Dependency Proxy shows it.",
            )
    if len(text) > MAX_NAME:
        raise NameInvalid("The path of the group is too long.", f"At most {MAX_NAME} characters are allowed.")
    return text


def parse_wire_name(text: str, mirror: str | None = None) -> Image:
    """What clients write between ``/v2/`` and ``/manifests/``, and in the scopes of tokens.

    >>> str(parse_wire_name("my-group/dependency_proxy/containers/alpine"))
    'my-group: docker.io/library/alpine'
    >>> str(parse_wire_name("quay.io/org/app", mirror="my-group"))
    'my-group: quay.io/org/app'

    The last marker counts, because GitLab's route takes as much as it can for the group; so no repository has a
    marker in it, and every name has one reading.

    :param mirror: the group to which names without a group belong, when the door of the mirrors is open.
    :raises NameInvalid: the grammar does not allow it.
    :raises NameUnknown: it names no group, and the door of the mirrors is closed.
    """
    if len(text) > 2 * MAX_NAME + len(WIRE_MARKER):
        raise NameInvalid("The name is too long.", f"Groups and images have at most {MAX_NAME} characters each.")
    group, marker, repository = text.rpartition(WIRE_MARKER)
    if marker:
        return Image(parse_group(group), parse_repository(repository))
    if text.startswith(WIRE_MARKER[1:]):
        raise NameInvalid(f"{_shown(text)} names no group.", f"Write <group>{WIRE_MARKER}<image>.")
    image = parse_repository(text)
    if mirror is None:
        raise NameUnknown(
            f"{_shown(text)} names no group.",
            f"Write <group>{WIRE_MARKER}<image>; names without a group are for daemons that use this proxy "
            "as a mirror, which needs `mirror:` in its configuration.",
        )
    return Image(mirror, image)


def format_wire_name(image: Image) -> str:
    """The full wire name: with its registry, so that it reads back as the same image whatever ``mirror`` is."""
    return f"{image.group}{WIRE_MARKER}{image.repository}"


def parse_repository(text: str) -> Repository:
    """A repository with or without its registry, by docker's rule for familiar names.

    >>> str(parse_repository("alpine"))
    'docker.io/library/alpine'
    >>> str(parse_repository("quay.io/org/app"))
    'quay.io/org/app'

    :raises NameInvalid: the grammar does not allow it.
    """
    first, slash, rest = text.partition("/")
    if slash and is_registry_host(first):
        if first in _HUB_HOSTS:
            return hub_repository(rest)
        return Repository(first, parse_path(rest))
    return hub_repository(text)


def hub_repository(path: str) -> Repository:
    """A repository of Docker Hub; a name without a namespace is one of ``library/``.

    :raises NameInvalid: the grammar does not allow it.
    """
    return Repository(DOCKER_HUB, parse_path(path if "/" in path else f"library/{path}"))


def is_registry_host(segment: str) -> bool:
    """Whether the first segment of a name is a registry, by docker's rule: it has a dot or a port, or is localhost."""
    return ("." in segment or ":" in segment or segment == "localhost") and bool(_HOST.fullmatch(segment))


def canonical_upstream(host: str) -> str:
    """The name under which an upstream is configured: Docker Hub's many hosts are one."""
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _shown(text: str) -> str:
    """A stranger's text for a message: quoted, escaped and cut."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
