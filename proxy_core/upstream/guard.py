"""Where connections may lead: the upstream itself anywhere, what it redirects to only to public addresses."""

import socket
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from proxy_core.settings.model import Network
from proxy_core.upstream.failures import FailureKind, UpstreamFailure

Address = IPv4Address | IPv6Address

#: The addresses of a host and port, as text. May raise ``OSError`` and ``UnicodeError``.
Resolver = Callable[[str, int], Sequence[str]]

# Where clouds hand their machines' credentials to whoever asks from there. No registry lives there.
_METADATA: Final = frozenset(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address as hosts without IPv4 see it


class Destination(Enum):
    """Why a connection is made, which decides what addresses it may have."""

    UPSTREAM = "the registry itself"
    REALM = "its token endpoint"
    REDIRECT = "where it redirects to"
    PROXY = "the HTTP proxy of this machine"


class Guard:
    """The addresses to which one upstream may lead us.

    The upstream's own origin and the machine's HTTP proxy were named by the operator: anything goes. A redirect leads
    to public addresses, or into the networks that the operator allows; never to a cloud's metadata. A token endpoint
    of the same site may be private where the upstream is.
    """

    def __init__(self, upstream: str, private_redirects: Iterable[Network] = ()) -> None:
        self._upstream = upstream
        self._allowed = tuple(private_redirects)
        self._upstream_is_private = False

    def admit(self, destination: Destination, host: str, addresses: Sequence[str]) -> list[str]:
        """Those of the addresses to which a connection may be made, in their order.

        :raises UpstreamFailure: ``INVALID``: none is.
        """
        parsed = [(text, unwrapped(ip_address(text))) for text in addresses]
        if destination is Destination.PROXY:
            return [text for text, _ in parsed]
        if destination is Destination.UPSTREAM:
            self._upstream_is_private = not all(is_public(address) for _, address in parsed)
            return [text for text, _ in parsed]
        admitted = [text for text, address in parsed if self._admits(destination, address)]
        if not admitted and parsed:
            raise self._refusal(destination, host, parsed[0][1])
        return admitted

    def admit_unresolved(self, destination: Destination, host: str) -> None:
        """The same for a request that goes through an HTTP proxy, which resolves names itself.

        Only a host that is an address, or ``localhost``, can be judged here: what names lead to is the proxy's to
        guard.

        :raises UpstreamFailure: ``INVALID``: it is one that may not be asked.
        """
        try:
            literal = str(ip_address(host))
        except ValueError:
            if host != "localhost" and not host.endswith(".localhost"):
                return
            literal = "127.0.0.1"
        self.admit(destination, host, [literal])

    def _admits(self, destination: Destination, address: Address) -> bool:
        if address in _METADATA:
            return False
        if is_public(address) or any(address in network for network in self._allowed):
            return True
        return destination is Destination.REALM and self._upstream_is_private

    def _refusal(self, destination: Destination, host: str, address: Address) -> UpstreamFailure:
        place = str(address) if host == str(address) else f"{host} ({address})"
        if address in _METADATA:
            what, fix = "a cloud's metadata service, where no registry is", "Find out who controls this upstream."
        else:
            what = "a private address"
            fix = "If this is meant, allow its network in the upstream's private_redirects."
        if destination is Destination.REALM:
            reason, verb, fix = "private_realm", "names as its token endpoint", "Check the upstream's url and DNS."
        else:
            reason, verb = "private_redirect", "redirects to"
        return UpstreamFailure(FailureKind.INVALID, reason, f"{self._upstream} {verb} {place}: {what}. Refused.", fix)


def is_public(address: Address) -> bool:
    """Whether an address lies on the open internet: not private, shared, loopback, link-local, multicast, reserved."""
    return address.is_global and not (address.is_multicast or address.is_reserved or _is_site_local(address))


def unwrapped(address: Address) -> Address:
    """The IPv4 address in an IPv6 one that only wraps it: mapped, 6to4, or through NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_site_local(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.is_site_local


def resolve(host: str, port: int) -> list[str]:
    """The system's resolver: each address once, in its order.

    It has time limits of its own (``resolv.conf``), which can be longer than a connection's.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
