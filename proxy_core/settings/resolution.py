"""From what is stated to what holds: defaults, and values that follow from others. Still plain values."""

import os
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from proxy_core.reference import DOCKER_HUB
from proxy_core.settings.formats import parse_external_url, parse_group_path, parse_listen, parse_upstream_url
from proxy_core.settings.problems import KeyPath
from proxy_core.settings.schema import leaves, with_defaults

HUB_URL: Final = "https://registry-1.docker.io"


def complete(value: Any) -> Any:
    """All keys that have a default, also where the rest is not checked yet. Docker Hub is always an upstream."""
    completed = with_defaults(value)
    if isinstance(completed, dict) and isinstance(completed["upstreams"], dict):
        completed["upstreams"] = {DOCKER_HUB: {}} | completed["upstreams"]
        completed = with_defaults(completed)
    return completed


def resolve(value: dict[str, Any], folder_of: Callable[[KeyPath], Path]) -> dict[str, Any]:
    """What follows from other values, on a document that the schema accepts.

    :param folder_of: the folder that a relative path at a key starts from.
    """
    resolved: dict[str, Any] = complete(value)
    server = resolved["server"]
    server["external_url"] = parse_external_url(server.get("external_url") or _external_url(server))
    for name, upstream in resolved["upstreams"].items():
        default = HUB_URL if name == DOCKER_HUB else f"https://{name}"
        upstream["url"] = parse_upstream_url(upstream.get("url", default))
    if "group" in resolved.get("mirror", {}):
        resolved["mirror"]["group"] = parse_group_path(resolved["mirror"]["group"])
    for path, text, schema in list(leaves(resolved)):
        if schema.get("format") == "path":
            # Links are kept: what mounts secrets renews them by turning a link.
            _put(resolved, path, os.path.abspath(folder_of(path) / text))  # noqa: PTH100  Path.resolve follows links
    return resolved


def _external_url(server: dict[str, Any]) -> str:
    """Of a server that listens everywhere: loopback, which works for a first try, and warns."""
    listen = parse_listen(server["listen"])
    scheme = "https" if "tls" in server else "http"
    address = listen.address
    if listen.everywhere:
        return f"{scheme}://127.0.0.1:{listen.port}"
    host = str(address) if isinstance(address, IPv4Address) else f"[{address}]"
    return f"{scheme}://{host}:{listen.port}"


def _put(tree: Any, path: KeyPath, value: object) -> None:
    for name in path[:-1]:
        tree = tree[name]
    tree[path[-1]] = value
