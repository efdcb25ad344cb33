"""Clients that leave, dawdle, flood or talk nonsense: the others do not notice."""

import resource
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import trustme

from tests.faults.scene import REPOSITORY, Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.faults import Gate
from tests.rig.images import Blob, digest_of, noise
from tests.rig.proxy import GROUP, Proxy, scopes_in

pytestmark = pytest.mark.faults

SIZE = 3_000_000


@contextmanager
def few_files(soft: int) -> Iterator[None]:
    """Whoever is started within begins with a low limit of open files, as systemd's services do."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, min(most, 4096)), most))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    place = Place(settings={"timeouts": {"read": "30s"}})
    with ExitStack() as stack:
        with few_files(512):
            running = stack.enter_context(scene(tmp_path_factory.mktemp("clients"), {"any.rig": place}, size=SIZE))
        source = running["any.rig"]
        assert source.get(source.manifest()).status_code == 200
        assert digest_of(source.get(source.blob()).content) == source.layer.digest
        source.wait_stored()
        yield running


@pytest.fixture
def source(sources: Scene) -> Iterator[Source]:
    """And whatever a test does to it: afterwards each worker still serves."""
    source = sources["any.rig"]
    workers = source.proxy.workers()
    yield source
    source.upstream.heal()
    assert source.proxy.workers() == workers, "a worker died"
    for worker in workers:
        with Wire.to(source.proxy, worker) as wire:
            assert digest_of(wire.ask(source.blob()).read()) == source.layer.digest
    assert "unexpected_error" not in source.proxy.log


def cold(source: Source, seed: int) -> Blob:
    """A blob that nobody has pulled yet."""
    blob = noise(SIZE, seed)
    source.upstream.add(REPOSITORY, blob)
    return blob


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("at", [0, 1, SIZE // 2, SIZE - 100_000])
def test_a_blob_is_kept_though_its_only_client_left(source: Source, at: int, reset: bool) -> None:
    blob = cold(source, 1000 + 2 * at + reset)
    gate = Gate(max(at, 100_000))
    source.upstream.fault(f"blobs/{blob.digest}", gate, method="GET")
    with Wire(source.proxy) as wire:
        wire.send(source.blob(blob))
        if at:
            answer = wire.answer()
            got = 0
            while got < min(at, gate.at - 65536):
                got += len(answer.read1(min(at, gate.at - 65536) - got))
        else:
            gate.wait_reached()
        wire.reset() if reset else wire.close()
    gate.open()
    source.wait_stored(blob)
    assert source.upstream.count("GET", f"blobs/{blob.digest}") == 1


def test_who_reads_a_byte_a_second_holds_up_nobody(source: Source) -> None:
    blob = cold(source, 1)
    with ExitStack() as stack:
        answers = []
        for wanted in (blob, source.layer):
            for _ in range(20):
                slow = stack.enter_context(Wire(source.proxy, receive_buffer=4096))
                answers.append((slow.ask(source.blob(wanted)), wanted))
        for _ in range(2):
            for answer, _ in answers:
                answer.read(1)
            assert digest_of(source.get(source.blob()).content) == source.layer.digest
            assert digest_of(source.get(source.blob(blob)).content) == blob.digest
            assert source.get(source.manifest()).status_code == 200
        for answer, wanted in answers[::8]:  # and whoever goes on in the end gets the rest
            body, whole = rest_of(answer)
            assert whole
            assert wanted.data[2:] == body


def test_a_thousand_idle_connections(source: Source) -> None:
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", source.proxy.port), timeout=10)))
        for _ in range(20):
            with Wire(source.proxy) as wire:
                assert digest_of(wire.ask(source.blob()).read()) == source.layer.digest


def test_many_half_open_requests(source: Source) -> None:
    """A request that is never finished: the beginning of a slowloris."""
    beginnings = (b"G", b"GET /v2/ HTTP/1.1\r\n", b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"\r\n\r\n\r\n")
    with ExitStack() as stack:
        for number in range(200):
            connection = socket.create_connection(("127.0.0.1", source.proxy.port), timeout=10)
            stack.enter_context(closing(connection))
            connection.sendall(beginnings[number % len(beginnings)])
        for _ in range(20):
            with Wire(source.proxy) as wire:
                assert digest_of(wire.ask(source.blob()).read()) == source.layer.digest


def test_many_half_open_handshakes(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    files = {"certificate_file": str(tmp_path / "certificate.pem"), "key_file": str(tmp_path / "key.pem")}
    with Proxy(tmp_path / "proxy", {"server": {"tls": files}}, trust=trust) as proxy, ExitStack() as stack:
        for number in range(300):
            connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
            stack.enter_context(closing(connection))
            connection.sendall(NONSENSE["tls"][: number % 50])
        for _ in range(10):
            assert proxy.client.http.get("/v2/", headers={"Connection": "close"}).status_code == 401


def test_a_body_that_is_promised_and_never_sent(source: Source) -> None:
    with Wire(source.proxy) as wire:
        answer = wire.ask(source.manifest(), headers={"Content-Length": "10000000000"})
        assert answer.read() == source.image.manifest.data


@pytest.mark.parametrize("lines", [90, 100, 1000])
def test_many_header_lines(source: Source, lines: int) -> None:
    with Wire(source.proxy) as wire:
        answer = wire.ask(source.manifest(), headers={f"X-Line-{number}": "x" for number in range(lines)})
        assert answer.status == (200 if lines == 90 else 431)


@pytest.mark.parametrize(("size", "statuses"), [(8_000, {401}), (100_000, {401, 431}), (1_000_000, {431})])
def test_a_huge_token(source: Source, size: int, statuses: set[int]) -> None:
    with Wire(source.proxy) as wire:
        try:
            answer = wire.ask(source.manifest(), token="x" * size)
        except ConnectionError:
            return  # it did not even listen to the end
        assert answer.status in statuses


NONSENSE = {
    "noise": bytes(range(256)),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no-version": b"GET /v2/\r\n\r\n",
    "odd-version": b"GET /v2/ HTTP/9.9\r\n\r\n",
    "no-host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "nul-in-a-header": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Nul: a\0b\r\n\r\n",
    "nul-in-the-path": b"GET /v2/\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "long-request-line": b"GET /v2/" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "two-lengths": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
    "length-and-chunks": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nz",
    "endless-chunk": b"POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute": b"GET http://elsewhere.example/v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown-method": b"BREW /v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(source: Source, name: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", source.proxy.port), timeout=10)) as connection:
        connection.sendall(NONSENSE[name])
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(4096)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.split(b" ", 2)[1] in (b"400", b"401", b"404", b"405", b"414", b"431", b"505"), answer


def test_nothing_is_left_of_connections_that_were_reset(source: Source) -> None:
    for _ in range(300):
        connection = socket.create_connection(("127.0.0.1", source.proxy.port), timeout=10)
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


PREFIX = f"/v2/{GROUP}/dependency_proxy/containers"
PATHS = {
    "dots": f"{PREFIX}/a/../b/manifests/latest",
    "encoded-dots": f"{PREFIX}/a/%2e%2e/b/manifests/latest",
    "dots-in-the-group": f"/v2/{GROUP}/../other/dependency_proxy/containers/a/manifests/latest",
    "dots-up-to-the-root": "/v2/../../etc/passwd",
    "encoded-slash": f"{PREFIX}/a%2fb/manifests/latest",
    "encoded-slash-upper": f"{PREFIX}/a%2Fb/manifests/latest",
    "twice-encoded-slash": f"{PREFIX}/a%252fb/manifests/latest",
    "encoded-slash-in-the-tag": f"{PREFIX}/any.rig/org/app/manifests/..%2f..%2fetc",
    "nul": f"{PREFIX}/a%00b/manifests/latest",
    "nul-in-the-tag": f"{PREFIX}/any.rig/org/app/manifests/latest%00",
    "not-utf-8": f"{PREFIX}/%ff%fe/manifests/latest",
    "utf-8": f"{PREFIX}/%C3%A4/manifests/latest",
    "upper-case": f"{PREFIX}/Any/manifests/latest",
    "300-characters": f"{PREFIX}/{'a' * 300}/manifests/latest",
    "300-segments": f"{PREFIX}/{'a/' * 300}b/manifests/latest",
    "10000-characters": f"{PREFIX}/{'a' * 10_000}/manifests/latest",
    "long-tag": f"{PREFIX}/any.rig/org/app/manifests/{'a' * 129}",
    "tag-with-a-dash-before": f"{PREFIX}/any.rig/org/app/manifests/-latest",
    "empty-name": f"{PREFIX}//manifests/latest",
    "empty-segment": f"{PREFIX}/a//b/manifests/latest",
    "empty-tag": f"{PREFIX}/any.rig/org/app/manifests/",
    "backslash": f"{PREFIX}/a%5c..%5cb/manifests/latest",
    "line-break": f"{PREFIX}/a%0d%0aX-Injected:%20yes/manifests/latest",
    "short-digest": f"{PREFIX}/any.rig/org/app/blobs/sha256:abc",
    "dots-for-a-digest": f"{PREFIX}/any.rig/org/app/blobs/sha256:{'../' * 21}a",
    "upper-case-digest": f"{PREFIX}/any.rig/org/app/blobs/sha256:{'A' * 64}",
    "unknown-algorithm": f"{PREFIX}/any.rig/org/app/blobs/md5:{'a' * 32}",
    "unknown-upstream": f"{PREFIX}/elsewhere.example/org/app/manifests/latest",
    "unknown-resource": f"{PREFIX}/any.rig/org/app/uploads/latest",
    "percent-alone": f"{PREFIX}/a%/manifests/latest",
    "percent-letters": f"{PREFIX}/a%zz/manifests/latest",
}


@pytest.mark.parametrize("name", PATHS)
def test_a_bad_path_is_refused_with_a_body(source: Source, name: str) -> None:
    token = source.proxy.client.token(*scopes_in(source.manifest()))
    source.upstream.forget()
    with Wire(source.proxy) as wire:
        answer = wire.ask(PATHS[name], token)
        body = answer.read()
    assert answer.status in (400, 401, 404), body
    assert b'{"errors":[{"code":"' in body
    assert b'"next":"' in body
    assert answer.getheader("X-Injected") is None
    assert source.upstream.count() == 0, "it was asked upstream"


@pytest.mark.parametrize("path", [b"/v2/\xff\xfe/manifests/latest", b"/v2/\xc3\xa4/manifests/latest"])
def test_a_path_of_raw_bytes_is_refused(source: Source, path: bytes) -> None:
    """What is not even UTF-8 is refused by the HTTP parser below the proxy, whose answers have no body."""
    with closing(socket.create_connection(("127.0.0.1", source.proxy.port), timeout=10)) as connection:
        connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.split(b" ", 2)[1] in (b"400", b"404")


def test_the_proxy_has_room_for_more_than_it_was_given(sources: Scene) -> None:
    """It was started with a limit of 512 open files; it may have more, and takes them."""
    proxy: Proxy = sources["any.rig"].proxy
    for pid in proxy.workers():
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft == hard
