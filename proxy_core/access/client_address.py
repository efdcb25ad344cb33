"""Where a request comes from, also behind trusted proxies; and whether credentials may come that way."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from proxy_core.settings.model import Network, Server

Address = IPv4Address | IPv6Address

# An entry of X-Forwarded-For: some proxies write the port too, and IPv6 addresses in brackets.
_ENTRY = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[0-9.]+):\d+|(?P<plain>.+)")


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """The client and how it spoke to the first of our proxies, as far as the trusted ones say."""

    address: Address | None  # None: not known; then it is nobody we trust
    scheme: str  # http or https


def client_of(
    peer: str, scheme: str, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]
) -> ClientAddress:
    """Who speaks. Headers count only from a peer that is trusted: anyone can write them.

    Of ``X-Forwarded-For`` it is the rightmost address that is not trusted: each proxy adds on the right whom it saw,
    so what stands further left is hearsay. All trusted: the leftmost. An entry that is no address ends the search,
    and the client is not known. ``X-Forwarded-Proto`` must say https in each of its entries to count as https.

    :param peer: the address at the other end of the connection; empty if it has none.
    :param scheme: of the connection.
    :param headers: as they came, names in any case.
    :param trusted: ``server.trusted_proxies``.
    """
    address = _address(peer)
    if not _is_in(address, trusted):
        return ClientAddress(address, scheme)
    headers = list(headers)
    for entry in reversed(_entries(headers, b"x-forwarded-for")):
        address = _address(entry)
        if not _is_in(address, trusted):
            break
    protocols = _entries(headers, b"x-forwarded-proto")
    if protocols:
        scheme = "https" if {protocol.lower() for protocol in protocols} == {"https"} else "http"
    return ClientAddress(address, scheme)


def may_send_credentials(scheme: str, address: Address | None, server: Server) -> bool:
    """Whether a password or a token may come this way: over https, from this very machine, or if it is allowed."""
    return scheme == "https" or server.allow_plain_http or (address is not None and address.is_loopback)


def _entries(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """All entries of a list header; several lines of it are one list (RFC 9110, section 5.3)."""
    lines = [value.decode("latin-1") for key, value in headers if key.lower() == name]
    return [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]


def _address(text: str) -> Address | None:
    match = _ENTRY.fullmatch(text)
    if match is None:
        return None
    try:
        # Without the zone of IPv6: it is free text.
        address = ip_address((match["six"] or match["four"] or match["plain"]).partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address  # ::ffff:127.0.0.1 is what a socket for both families calls 127.0.0.1


def _is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)
