"""The settings as frozen values. What each key means to an operator stands in ``settings.schema.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIB = 1024 * 1024
GIB = 1024 * MIB


class Role(IntEnum):
    """A role in a group; it holds for all subgroups. Numbers as GitLab's access levels."""

    GUEST = 10
    OWNER = 50


@dataclass(frozen=True, slots=True)
class Tls:
    certificate_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class Server:
    host: str = "127.0.0.1"
    port: int = 8080
    external_url: str = "http://127.0.0.1:8080"  # no slash at its end; the port is always written out
    workers: int = 2
    tls: Tls | None = None
    trusted_proxies: tuple[Network, ...] = ()
    allow_plain_http: bool = False
    stop_grace: float = 60.0  # seconds that pulls in flight are given at a stop


@dataclass(frozen=True, slots=True)
class Storage:
    directory: Path
    max_size: int = 100 * GIB  # bytes of blobs and partial files
    min_free: int | None = None  # bytes; None: 5 % of the file system, at most 5 GiB
    max_fills: int = 16  # blobs that are fetched at once, over all workers


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect: float = 10.0  # seconds
    read: float = 30.0  # seconds without a byte


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registry to ask. ``password`` was read from its file and shows in no ``repr``."""

    name: str
    url: str  # no slash at its end
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    freshness: float = 0.0  # seconds for which a tag is served without asking
    max_stale: float = 7 * DAY  # seconds after its last confirmation that a tag is served when the upstream fails
    timeouts: Timeouts = Timeouts()
    private_redirects: tuple[Network, ...] = ()
    max_manifest: int = 10 * MIB
    max_blob: int = 64 * GIB


@dataclass(frozen=True, slots=True)
class Group:
    path: str  # full path, lower case
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class User:
    name: str
    password_hash: str = field(repr=False)  # argon2id
    groups: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tokens:
    lifetime: float = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Settings:
    storage: Storage
    server: Server = Server()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Tokens = Tokens()
    mirror: str | None = None  # the group behind the doors of dockerd and containerd

    def group_of(self, path: str) -> Group | None:
        """The settings that apply to a group: its own or its nearest ancestor's; ``None``: not served."""
        while path:
            if path in self.groups:
                return self.groups[path]
            path = path.rpartition("/")[0]
        return None
