"""From a checked document to the frozen settings."""

from pathlib import Path
from typing import Any

from proxy_core.settings.files import read_secret
from proxy_core.settings.formats import parse_listen, parse_network
from proxy_core.settings.model import (
    Group,
    Network,
    Role,
    Server,
    Settings,
    Storage,
    Timeouts,
    Tls,
    Tokens,
    Upstream,
    User,
)
from proxy_core.settings.units import parse_duration, parse_size

Tree = dict[str, Any]


def build(tree: Tree) -> Settings:
    """The settings of a resolved document in which nothing is wrong. Reads the password files.

    :raises ConfigurationError: a password file has gone since it was checked.
    """
    return Settings(
        storage=_storage(tree["storage"]),
        server=_server(tree["server"]),
        upstreams={name: _upstream(name, entry) for name, entry in tree["upstreams"].items()},
        groups={path: Group(path, entry["enabled"]) for path, entry in tree["groups"].items()},
        users={name: _user(name, entry) for name, entry in tree["users"].items()},
        tokens=Tokens(parse_duration(tree["tokens"]["lifetime"])),
        mirror=tree["mirror"]["group"] if "mirror" in tree else None,
    )


def _server(tree: Tree) -> Server:
    listen = parse_listen(tree["listen"])
    tls = tree.get("tls")
    return Server(
        host=str(listen.address),
        port=listen.port,
        external_url=tree["external_url"],
        workers=int(tree["workers"]),
        tls=Tls(Path(tls["certificate_file"]), Path(tls["key_file"])) if tls else None,
        trusted_proxies=_networks(tree["trusted_proxies"]),
        allow_plain_http=tree["allow_plain_http"],
        stop_grace=parse_duration(tree["stop_grace"]),
    )


def _storage(tree: Tree) -> Storage:
    return Storage(
        directory=Path(tree["directory"]),
        max_size=parse_size(tree["max_size"]),
        min_free=parse_size(tree["min_free"]) if "min_free" in tree else None,
        max_fills=int(tree["max_fills"]),
    )


def _upstream(name: str, tree: Tree) -> Upstream:
    timeouts = tree["timeouts"]
    return Upstream(
        name=name,
        url=tree["url"],
        username=tree.get("username"),
        password=read_secret(Path(tree["password_file"])) if "password_file" in tree else None,
        ca_file=Path(tree["ca_file"]) if "ca_file" in tree else None,
        freshness=parse_duration(tree["freshness"]),
        max_stale=parse_duration(tree["max_stale"]),
        timeouts=Timeouts(parse_duration(timeouts["connect"]), parse_duration(timeouts["read"])),
        private_redirects=_networks(tree["private_redirects"]),
        max_manifest=parse_size(tree["max_manifest"]),
        max_blob=parse_size(tree["max_blob"]),
    )


def _user(name: str, tree: Tree) -> User:
    return User(name, tree["password_hash"], {path: Role[role.upper()] for path, role in tree["groups"].items()})


def _networks(texts: list[str]) -> tuple[Network, ...]:
    return tuple(parse_network(text) for text in texts)
