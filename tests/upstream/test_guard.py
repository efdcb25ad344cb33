"""Which addresses are public, judged without a network."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.upstream import UpstreamFailure
from proxy_core.upstream.addresses import named_address
from proxy_core.upstream.guard import Destination, Guard, is_public, unwrapped

REDIRECT = Destination.REDIRECT


def admitted(text: str, *networks: str) -> bool:
    """Whether a redirect may lead to this address."""
    try:
        return Guard("docker.io", map(ip_network, networks)).admit(REDIRECT, text, [text]) == [text]
    except UpstreamFailure:
        return False


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "93.184.216.34", "2606:4700::6810:84e5", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
)
def test_public(text: str) -> None:
    assert admitted(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
def test_not_public(text: str) -> None:
    assert not admitted(text)


@given(st.ip_addresses(v=4))
def test_an_address_in_ipv6_clothes_is_judged_as_itself(address: IPv4Address) -> None:
    number = int(address)
    for wrapped in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert unwrapped(IPv6Address(wrapped)) == address
        assert admitted(str(IPv6Address(wrapped))) == admitted(str(address))


@given(st.ip_addresses().filter(lambda address: unwrapped(address) == address))
def test_what_python_calls_private_is_never_public(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(address)


def test_allowed_networks() -> None:
    assert admitted("10.1.2.3", "10.0.0.0/8")
    assert admitted("::ffff:10.1.2.3", "10.0.0.0/8")
    assert not admitted("10.1.2.3", "192.168.0.0/16")
    assert not admitted("169.254.169.254", "169.254.0.0/16")


def test_the_upstream_itself_may_be_anywhere() -> None:
    assert Guard("docker.io").admit(Destination.UPSTREAM, "registry", ["127.0.0.1"]) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["169.254.169.254", "::1", "localhost", "a.localhost", "10.0.0.1"])
def test_through_a_proxy_literal_addresses_are_judged(host: str) -> None:
    with pytest.raises(UpstreamFailure):
        Guard("docker.io").admit_unresolved(REDIRECT, host)


@pytest.mark.parametrize("host", ["1.1.1.1", "cdn.example.com"])
def test_through_a_proxy_names_are_the_proxys(host: str) -> None:
    Guard("docker.io").admit_unresolved(REDIRECT, host)


@given(st.text(max_size=60) | st.text("http://[]:@%.1xn-é。\\", max_size=20).map(lambda rest: f"https://{rest}"))
def test_any_text_as_an_address_gives_a_usable_one_or_none(text: str) -> None:
    for address in (named_address(text), named_address(text, named_address("https://registry.example.com/v2/"))):
        if address is not None:
            assert address.scheme in {"http", "https"}
            assert address.host
            assert address.raw_host.isascii()
            assert address.origin
            assert not address.userinfo
            assert not address.fragment


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://user:secret@cdn.example.com/a?b=c#d", "https://cdn.example.com/a?b=c"),
        ("../blobs/x", "https://registry.example.com/v2/blobs/x"),
        ("//cdn.example.com/x", "https://cdn.example.com/x"),
        ("https://" + "a" * 64 + ".example.com/", None),
        ("https://" + "a." * 130 + "com/", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_addresses_that_an_upstream_names(text: str, address: str | None) -> None:
    named = named_address(text, named_address("https://registry.example.com/v2/a/"))
    assert (None if named is None else str(named)) == address


def test_metadata_addresses_are_known_in_every_form() -> None:
    for text in ("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"):
        guard = Guard("docker.io", [ip_network("::/0"), ip_network("0.0.0.0/0")])
        with pytest.raises(UpstreamFailure) as caught:
            guard.admit(REDIRECT, text, [text])
        assert "metadata" in caught.value.cause
        assert ip_address(text)
