"""HTTP proxies of the machine: read from the environment as curl does, and gone through."""

import asyncio
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from proxy_core.errors import ConfigurationError
from proxy_core.reference import Tag
from proxy_core.upstream import UpstreamFailure
from proxy_core.upstream.proxies import proxies_of
from tests.rig.faults import Redirect
from tests.rig.images import Blob, image
from tests.rig.upstream import Upstream, certificate
from tests.upstream.rooms import ALPINE, Names, asking, digest_of, fetch, filling, headers_of, outside, server

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://a.example.com", None),
        ({"HTTPS_PROXY": PROXY}, "https://a.example.com", PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "https://a.example.com", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://a.example.com", None),
        ({"HTTP_PROXY": PROXY}, "http://a.example.com", PROXY),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://a.example.com", None),
        ({"ALL_PROXY": PROXY}, "https://a.example.com", PROXY),
        ({"ALL_PROXY": "proxy.example.com:3128"}, "https://a.example.com", PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "*"}, "https://a.example.com", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "b.com, example.com"}, "https://a.example.com", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "example.com"}, "https://EXAMPLE.com", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "example.com"}, "https://notexample.com", PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": ".example.com"}, "https://a.example.com", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": ".example.com"}, "https://example.com", PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "*.example.com"}, "https://a.example.com", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "a.example.com:443"}, "https://a.example.com", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "a.example.com:80"}, "https://a.example.com", PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.1"}, "https://10.0.0.1", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3:5000", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "https://11.1.2.3", PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "https://a.example.com", PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "::1"}, "https://[::1]:5000", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "[::1]:5000"}, "https://[::1]:5000", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "localhost"}, "https://localhost:5000", None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": " , :,["}, "https://a.example.com", PROXY),
    ],
)
def test_what_the_environment_says(environment: dict[str, str], url: str, proxy: str | None) -> None:
    assert proxies_of(environment).of(httpx2.URL(url)) == proxy


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "ftp://proxy", "http://", "http://["])
def test_a_proxy_that_can_not_be_used_stops_the_start(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        proxies_of({"HTTPS_PROXY": value})
    assert "HTTPS_PROXY" in caught.value.cause


def test_a_proxys_password_is_not_told() -> None:
    with pytest.raises(ConfigurationError) as caught:
        proxies_of({"HTTPS_PROXY": "socks5://user:open-sesame@proxy"})
    assert "open-sesame" not in str(caught.value)


# Through a proxy


class Tunnel:
    """A proxy that knows CONNECT, and leads everybody to one port."""

    def __init__(self, to: int, *, refuses: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self._to = to
        self._refuses = refuses
        self._tls = tls
        self.asked: list[str] = []

    def __call__(self, connection: socket.socket, stopping: threading.Event) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        self.asked.append(headers_of(connection).decode())
        if self._refuses:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self._to), 10) as far:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            _relay(connection, far)


def _relay(near: socket.socket, far: socket.socket) -> None:
    # One thread for both ways: a TLS connection is not to be used by two at once.
    while ready := select.select([near, far], [], [], 30)[0]:
        for source, target in ((near, far), (far, near)):
            while source in ready or (isinstance(source, ssl.SSLSocket) and source.pending()):
                data = source.recv(64 * 1024)
                if not data:
                    return
                target.sendall(data)
                ready = [each for each in ready if each is not source]


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def registry(authority: trustme.CA, ca_file: Path, large_blob: Blob) -> Iterator[Upstream]:
    """registry.example.com, by https."""
    authority.cert_pem.write_to_path(str(ca_file))
    with Upstream(tls=certificate(authority, "registry.example.com")) as upstream:
        upstream.add(ALPINE, image(), "latest")
        upstream.add(ALPINE, large_blob)
        yield upstream


async def test_https_goes_through_a_tunnel(registry: Upstream, ca_file: Path) -> None:
    tunnel = Tunnel(registry.port)
    with server(tunnel) as port:
        environment = {"HTTPS_PROXY": f"http://user:open-sesame@127.0.0.1:{port}"}
        world = outside(environment=environment, resolver=Names({"127.0.0.1": "127.0.0.1"}))
        async with asking("https://registry.example.com", world=world, ca_file=ca_file) as client:
            await client.get_manifest(ALPINE, Tag("latest"))
    assert tunnel.asked[0].startswith("CONNECT registry.example.com:443 ")
    assert "Proxy-Authorization: Basic" in tunnel.asked[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_reached_by_tls(
    authority: trustme.CA, registry: Upstream, ca_file: Path, large_blob: Blob, scheme: str
) -> None:
    tunnel = Tunnel(registry.port, tls=certificate(authority) if scheme == "https" else None)
    with server(tunnel) as port:
        world = outside(environment={"ALL_PROXY": f"{scheme}://127.0.0.1:{port}"})
        async with asking("https://registry.example.com", world=world, ca_file=ca_file) as client:
            await client.get_manifest(ALPINE, Tag("latest"))
            assert await asyncio.to_thread(fetch, client, digest_of(large_blob)) == large_blob.data
    assert all(asked.startswith("CONNECT registry.example.com:443 ") for asked in tunnel.asked)


def test_http_goes_to_the_proxy_with_its_whole_address(rig: Upstream, large_blob: Blob) -> None:
    rig.add(ALPINE, large_blob)  # the rig itself plays the proxy: it looks at paths only
    with filling("http://registry.example.com", world=outside(environment={"HTTP_PROXY": rig.url})) as client:
        assert fetch(client, digest_of(large_blob)) == large_blob.data
    assert rig.requests[0].header("Host") == "registry.example.com"


def test_a_proxy_that_refuses(registry: Upstream, ca_file: Path, large_blob: Blob) -> None:
    with server(Tunnel(registry.port, refuses=True)) as port:
        world = outside(environment={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
        client_of = filling("https://registry.example.com", world=world, ca_file=ca_file)
        with client_of as client, pytest.raises(UpstreamFailure) as caught:
            fetch(client, digest_of(large_blob))
    assert caught.value.reason == "proxy"
    assert "HTTPS_PROXY" in caught.value.fix


def test_a_proxy_is_not_asked_for_private_addresses(rig: Upstream, large_blob: Blob) -> None:
    rig.fault("*", Redirect("http://169.254.169.254"))
    world = outside(environment={"HTTP_PROXY": rig.url})
    with filling("http://registry.example.com", world=world) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(large_blob))
    assert caught.value.reason == "private_redirect"
    assert rig.count() == 1


def test_who_needs_no_proxy_is_guarded_as_ever(rig: Upstream, large_blob: Blob) -> None:
    rig.fault("*", Redirect("http://10.0.0.1"))
    world = outside(environment={"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1,10.0.0.0/8"})
    with filling(rig.url, world=world) as client, pytest.raises(UpstreamFailure) as caught:
        fetch(client, digest_of(large_blob))
    assert caught.value.reason == "private_redirect"
