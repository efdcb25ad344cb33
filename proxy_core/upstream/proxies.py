"""The HTTP proxies of this machine: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.

httpx2 reads these too, but only for the transports that it makes itself. The meaning is the same as there (and as in
curl): names in lower case come first; ``NO_PROXY`` holds host names, which also stand for all below them, addresses,
networks and ``*``, each perhaps with a port.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import httpx2

from proxy_core.errors import ConfigurationError
from proxy_core.upstream.addresses import named_address


class Proxies:
    """Which proxy leads to which address, if any."""

    def __init__(self, by_scheme: Mapping[str, str], without: Iterable[str] = ()) -> None:
        self._by_scheme = dict(by_scheme)
        self._without = tuple(without)

    @property
    def urls(self) -> tuple[str, ...]:
        """The proxies' addresses, each once, with their passwords."""
        return tuple(dict.fromkeys(self._by_scheme.values()))

    def of(self, url: httpx2.URL) -> str | None:
        """The proxy through which to ask this address; ``None``: ask directly."""
        proxy = self._by_scheme.get(url.scheme) or self._by_scheme.get("all")
        if proxy is None:
            return None
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        return None if any(_exempts(entry, url.host.rstrip("."), port) for entry in self._without) else proxy


def proxies_of(environment: Mapping[str, str]) -> Proxies:
    """What the environment says.

    ``HTTP_PROXY`` does not count beside ``REQUEST_METHOD``: a CGI program gets it from whoever sends the request.

    :raises ConfigurationError: a proxy's address can not be used.
    """
    by_scheme = {}
    for scheme in ("http", "https", "all"):
        name = f"{scheme}_proxy"
        value = environment.get(name) or environment.get(name.upper()) or ""
        if scheme == "http" and "REQUEST_METHOD" in environment:
            value = environment.get(name, "")
        if value:
            by_scheme[scheme] = _checked(value if "://" in value else f"http://{value}", name.upper())
    entries = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").lower().split(",")
    return Proxies(by_scheme, [entry.strip() for entry in entries if entry.strip()])


def _checked(value: str, name: str) -> str:
    if named_address(value) is None:
        raise ConfigurationError(
            f"{name} in the environment is not the address of an HTTP proxy.",
            "Write it as http://host:port; SOCKS proxies are not supported.",
        )
    return value


def _exempts(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of ``NO_PROXY`` names this host."""
    if entry == "*":
        return True
    network = _network(entry)
    if network is not None:
        return _is_in(host, network)
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        entry = name
    network = _network(entry.strip("[]"))
    if network is not None:
        return _is_in(host, network)
    below = entry.removeprefix("*").startswith(".")
    name = entry.removeprefix("*").removeprefix(".")
    return host.endswith(f".{name}") or (host == name and not below)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _is_in(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False
