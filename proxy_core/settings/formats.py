"""Text values that have a grammar of their own: addresses, URLs, names, password hashes.

Each function gives the value that the text stands for, or raises :class:`ConfigurationError` with cause and fix. No
message repeats a text that may hold a secret.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from proxy_core.errors import ConfigurationError, NameInvalid
from proxy_core.reference import DOCKER_HUB, canonical_upstream, is_registry_host, parse_group
from proxy_core.settings.model import Network
from proxy_core.settings.problems import shown
from proxy_core.settings.units import parse_duration, parse_size

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# DNS allows an underscore nowhere in a host name; container networks do, so an upstream may have one.
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
# Version 19 is the only one in use since 2016. Salt and tag: 8 and 12 bytes are argon2's least.
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=[0-9]{1,8},t=[0-9]{1,4},p=[0-9]{1,3}\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,172})",
    re.ASCII,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and a port to listen on."""

    address: IPv4Address | IPv6Address
    port: int

    @property
    def everywhere(self) -> bool:
        """All addresses of the machine."""
        return self.address.is_unspecified


def parse_listen(text: str) -> Listen:
    """``127.0.0.1:8080``, ``[::1]:8080``."""
    fix = "Write an IP address and a port, e.g. 127.0.0.1:8080, 0.0.0.0:8080 or '[::1]:8080'."
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon and _is_address(text):
        raise ConfigurationError(f"{shown(text)} has no port.", fix)
    if not bracketed and ":" in host:
        raise ConfigurationError(f"{shown(text)}: an IPv6 address stands in brackets.", f"Write '[{host}]:{port}'.")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise ConfigurationError(f"{shown(text)} does not end with a port from 1 to 65535.", fix)
    if host == "localhost":
        raise ConfigurationError(f"{shown(text)} begins with a name.", f"Write 127.0.0.1:{port}.")
    bare = host[1:-1] if bracketed else host
    if not _is_address(bare) or bracketed != (":" in bare) or "%" in bare:
        raise ConfigurationError(f"{shown(text)} does not begin with an IP address.", fix)
    return Listen(ip_address(bare), int(port))


def parse_external_url(text: str) -> str:
    """A scheme, a host and a port, which is always written out: ``https://h`` is ``https://h:443``."""
    parts = _parse_http_url(text, "https://proxy.example.com")
    if parts.path not in ("", "/"):
        fix = f"Write {parts.scheme}://{parts.netloc}: container clients ask for /v2/ at the root of a host."
        raise ConfigurationError("has a path.", fix)
    host = parts.hostname or ""
    written = f"[{host}]" if ":" in host else host
    if ":" not in host and not is_registry_host(f"{host}:{_port(parts)}"):
        raise ConfigurationError("has a host that container clients refuse.", "Use letters, digits, '-' and '.' in it.")
    return f"{parts.scheme}://{written}:{_port(parts)}"


def parse_upstream_url(text: str) -> str:
    """Where a registry is asked, without slashes at its end."""
    parts = _parse_http_url(text, "https://quay.io")
    if parts.path.rstrip("/").endswith(("/v2", "/v1")):
        raise ConfigurationError("ends with the version of the API.", "Leave /v2 away: it is added to every request.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


def parse_network(text: str) -> Network:
    """An address or a network: ``10.0.0.1``, ``10.0.0.0/8``, ``fd00::/8``."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        near = ip_network(text, strict=False)
    except ValueError:
        cause = f"{shown(text)} is not a network."
        raise ConfigurationError(cause, "Write an address or a network, e.g. 10.0.0.1 or 10.0.0.0/8.") from None
    raise ConfigurationError(
        f"{shown(text)} is an address within a network.", f"Write {near} or {text.partition('/')[0]}."
    )


def parse_upstream_name(text: str) -> str:
    """What can be the first segment of an image's name, and means a registry there."""
    if canonical_upstream(text.lower()) == DOCKER_HUB != text:
        raise ConfigurationError("is another name of Docker Hub.", f"Write {DOCKER_HUB}.")
    if is_registry_host(text):
        return text
    if is_registry_host(text.lower()):
        raise ConfigurationError("has upper case, which images can not have.", f"Write {text.lower()}.")
    raise ConfigurationError(
        "is not the name of a registry.",
        "Write a host with a dot or a port, e.g. quay.io or registry:5000: only such a name is a registry in an image.",
    )


def parse_group_path(text: str) -> str:
    """A group's full path in lower case: GitLab does not tell the cases apart, image names have no other."""
    if text == "*":
        cause = "'*' stands for all groups that GitLab knows, and this version does not ask GitLab."
        raise ConfigurationError(cause, "List the groups by their full paths; subgroups need no line of their own.")
    try:
        return parse_group(text.lower())
    except NameInvalid:
        stripped = text.strip("/").lower()
        near = f"Did you mean {stripped}?" if stripped != text and _is_group(stripped) else "E.g. my-group/subgroup."
        cause = f"{shown(text)} is not the path of a group."
        raise ConfigurationError(cause, f"Write the group's full path, as it stands in GitLab's URL. {near}") from None


def parse_path(text: str) -> str:
    """The path of a file or folder, for now as it is written."""
    if not text.strip() or _CONTROL.search(text):
        raise ConfigurationError("is no path.", "Write the path of a file or folder.")
    if text.startswith("~"):
        raise ConfigurationError("begins with ~, which only shells know.", "Write the whole path.")
    return text


def parse_username(text: str) -> str:
    """The user name of HTTP's Basic scheme: it has no colon and no control character (RFC 7617, section 2)."""
    if not text or len(text) > 255 or ":" in text or _CONTROL.search(text):
        cause = "is not a user name."
        raise ConfigurationError(cause, "Write 1 to 255 characters without ':' and without control characters.")
    return text


def parse_password_hash(text: str) -> str:
    """An argon2id hash in its encoded form, with salt and tag in Base64 without padding."""
    parts = _ARGON2ID.fullmatch(text)
    if parts is None or not all(_is_base64(part) for part in parts.groups()):
        raise ConfigurationError(
            "is not an argon2id hash.",
            "Put what `runner-bridge users hash-password` prints in single quotes: a shell reads $ as its own.",
        )
    return text


PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "argon2id": parse_password_hash,
    "duration": parse_duration,
    "external-url": parse_external_url,
    "group": parse_group_path,
    "listen": parse_listen,
    "network": parse_network,
    "path": parse_path,
    "size": parse_size,
    "upstream": parse_upstream_name,
    "url": parse_upstream_url,
    "username": parse_username,
}
"""The schema's ``format`` -> what reads it."""


def _parse_http_url(text: str, example: str) -> SplitResult:
    fix = f"Write e.g. {example}."
    if _CONTROL.search(text) or " " in text:
        raise ConfigurationError("has a space or a control character.", fix)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigurationError("is not a URL.", fix) from None
    if "@" in parts.netloc:
        raise ConfigurationError(
            "holds a user name or a password.", "Take them away, and use username and password_file."
        )
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ConfigurationError("is not a URL with http:// or https:// and a host.", fix)
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigurationError("has a query or a fragment.", "Take away what follows ? or #.")
    host = parts.hostname
    if port == 0 or not (_HOST.fullmatch(host) or (":" in host and _is_address(host) and "%" not in host)):
        raise ConfigurationError("has a host or a port that can not be.", fix)
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS[parts.scheme]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, as far as its name tells."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_base64(text: str) -> bool:
    """Whether it is what an encoder writes: no bits are left over that are not zero."""
    try:
        return b64encode(b64decode(text + "=" * (-len(text) % 4), validate=True)).decode().rstrip("=") == text
    except ValueError:
        return False


def _is_group(text: str) -> bool:
    try:
        parse_group(text)
    except NameInvalid:
        return False
    return True
