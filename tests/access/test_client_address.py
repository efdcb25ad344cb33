"""Where a request comes from, and whether a credential may come that way."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy_core.access.client_address import ClientAddress, client_of, may_send_credentials
from proxy_core.settings import Network, Server

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("127.0.0.1/32")]
Header = tuple[bytes, bytes]


def forwarded(*lines: str) -> list[Header]:
    return [(b"x-forwarded-for", line.encode()) for line in lines]


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", forwarded("203.0.113.9"), "192.0.2.7"),  # anyone can write that
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", forwarded("203.0.113.9"), "203.0.113.9"),
        ("10.1.1.1", forwarded("127.0.0.1, 203.0.113.9"), "203.0.113.9"),  # the left part is the client's own word
        ("10.1.1.1", forwarded("203.0.113.9, 10.2.2.2, 10.3.3.3"), "203.0.113.9"),
        ("10.1.1.1", forwarded("1.1.1.1, 203.0.113.9, 10.2.2.2"), "203.0.113.9"),
        ("10.1.1.1", forwarded("10.4.4.4, 10.2.2.2"), "10.4.4.4"),  # all of the house
        ("10.1.1.1", forwarded("1.1.1.1", "203.0.113.9 ", "10.2.2.2"), "203.0.113.9"),  # several lines are one
        ("10.1.1.1", forwarded("203.0.113.9:4711"), "203.0.113.9"),
        ("10.1.1.1", forwarded("[2001:db8::1]:4711"), "2001:db8::1"),
        ("10.1.1.1", forwarded("[2001:db8::1]"), "2001:db8::1"),
        ("10.1.1.1", forwarded("2001:db8::1%eth0"), "2001:db8::1"),
        ("10.1.1.1", forwarded("::ffff:203.0.113.9"), "203.0.113.9"),
        ("::ffff:10.1.1.1", forwarded("203.0.113.9"), "203.0.113.9"),
        ("fd00::1", forwarded("2001:db8::1, fd00::2"), "2001:db8::1"),
        ("10.1.1.1", forwarded(""), "10.1.1.1"),
        ("10.1.1.1", forwarded("unknown"), None),
        ("10.1.1.1", forwarded("127.0.0.1, _hidden"), None),  # not known: certainly not the next best
        ("", forwarded("203.0.113.9"), None),
        ("not-an-address", [], None),
    ],
)
def test_of_the_list_the_rightmost_that_is_not_trusted(peer: str, headers: list[Header], expected: str | None) -> None:
    address = ip_address(expected) if expected else None
    assert client_of(peer, "http", headers, TRUSTED) == ClientAddress(address, "http")


@pytest.mark.parametrize(
    ("peer", "lines", "scheme"),
    [
        ("10.1.1.1", [b"https"], "https"),
        ("10.1.1.1", [b"HTTPS"], "https"),
        ("10.1.1.1", [b"http"], "http"),
        ("10.1.1.1", [b"https, http"], "http"),
        ("10.1.1.1", [b"https", b"http"], "http"),
        ("10.1.1.1", [b"https, https"], "https"),
        ("10.1.1.1", [b"wss"], "http"),
        ("10.1.1.1", [], "http"),
        ("192.0.2.7", [b"https"], "http"),  # not from one we trust
    ],
)
def test_https_is_believed_of_trusted_proxies_when_all_say_it(peer: str, lines: list[bytes], scheme: str) -> None:
    headers = [(b"X-Forwarded-Proto", line) for line in lines]
    assert client_of(peer, "http", headers, TRUSTED).scheme == scheme


def test_a_proxy_that_took_plain_http_makes_our_https_plain() -> None:
    assert client_of("10.1.1.1", "https", [(b"x-forwarded-proto", b"http")], TRUSTED).scheme == "http"
    assert client_of("10.1.1.1", "https", [], TRUSTED).scheme == "https"


addresses = st.ip_addresses()
networks = st.lists(
    st.ip_addresses().map(str).map(ip_network) | st.just(ip_network("10.0.0.0/8")) | st.just(ip_network("::/1")),
    max_size=4,
)


@given(addresses, st.lists(addresses, max_size=6), networks)
def test_the_client_is_the_first_that_is_not_trusted_on_the_way_back(
    peer: IPv4Address, hops: list[IPv4Address], trusted: list[Network]
) -> None:
    """Told as the packets went: each proxy adds the address it saw; going back, trust ends at the first stranger."""
    found = client_of(str(peer), "https", forwarded(", ".join(map(str, hops))), trusted).address
    way_back = [plain(peer), *(plain(hop) for hop in reversed(hops))]
    strangers = [hop for hop in way_back if not any(hop in network for network in trusted)]
    assert found == (strangers[0] if strangers else way_back[-1])


@given(addresses, st.text(max_size=30), st.lists(addresses, min_size=1, max_size=3))
def test_nobody_outside_can_choose_his_address(client: IPv4Address, written: str, proxies: list[IPv4Address]) -> None:
    """Whatever a client writes into the header itself, the first trusted proxy adds the truth on the right of it."""
    assume(plain(client) not in map(plain, proxies))
    line = ", ".join([written, str(client), *map(str, proxies[1:])])
    trusted: list[Network] = [ip_network(str(plain(proxy))) for proxy in proxies]
    headers = [(b"x-forwarded-for", line.encode())]
    assert client_of(str(proxies[0]), "https", headers, trusted).address == plain(client)


@given(st.text(max_size=30), st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=4))
def test_any_headers_are_read_without_an_error(peer: str, headers: list[Header]) -> None:
    client_of(peer, "http", headers, TRUSTED)
    names = [(b"X-Forwarded-For", value) for _, value in headers]
    client_of("10.1.1.1", "http", names, TRUSTED)


def plain(address: object) -> IPv4Address:
    parsed = ip_address(str(address))
    return getattr(parsed, "ipv4_mapped", None) or parsed  # type: ignore[return-value]  # either family


@pytest.mark.parametrize(
    ("scheme", "address", "allowed"),
    [
        ("https", "192.0.2.7", True),
        ("https", None, True),
        ("http", "127.0.0.1", True),
        ("http", "127.8.9.1", True),
        ("http", "::1", True),
        ("http", "::ffff:127.0.0.1", True),
        ("http", "192.0.2.7", False),
        ("http", "10.0.0.1", False),
        ("http", "::", False),
        ("http", None, False),
    ],
)
def test_credentials_come_over_https_or_from_this_machine(scheme: str, address: str | None, allowed: bool) -> None:
    client = client_of(address or "", scheme, [], [])
    assert may_send_credentials(client.scheme, client.address, Server()) is allowed
    assert may_send_credentials(client.scheme, client.address, Server(allow_plain_http=True))


def test_loopback_behind_a_trusted_proxy_is_the_proxy_and_not_the_client() -> None:
    client = client_of("127.0.0.1", "http", forwarded("203.0.113.9"), TRUSTED)
    assert not may_send_credentials(client.scheme, client.address, Server())
