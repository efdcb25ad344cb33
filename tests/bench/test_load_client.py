"""The load client must not take a broken answer for a good one, or all figures are worth nothing."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from ci.bench.load import LoadClient, compile_client, run

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

Answer = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> LoadClient:
    return compile_client(tmp_path_factory.mktemp("load"))


@contextmanager
def server(answer: Answer, *, close: bool = False) -> Iterator[int]:
    """Gives `answer(head)` for each request, on keep-alive connections; with `close` it hangs up after each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, answer, close), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, answer: Answer, close: bool) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test has ended
            return
        connection.settimeout(20)
        threading.Thread(target=_serve, args=(connection, answer, close), daemon=True).start()


def _serve(connection: socket.socket, answer: Answer, close: bool) -> None:
    with connection, suppress(OSError):  # the client may leave in mid-answer
        head = b""
        while piece := connection.recv(4096):
            head += piece
            if head.endswith(b"\r\n\r\n"):
                connection.sendall(answer(head))
                head = b""
                if close:
                    return


def whole(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_counts_requests_and_bytes_of_whole_answers(client: LoadClient) -> None:
    with server(lambda _: whole(b"x" * 100_000)) as port:
        seen = run(client.command(port, [("/a", 100_000)], connections=3, requests=20))
    assert (seen.requests, seen.bytes, seen.faults) == (20, 2_000_000, ())
    assert 0 < seen.first_byte_ms.p50 <= seen.latency_ms.p50 <= seen.latency_ms.max


def test_sends_paths_in_turn_with_headers_and_alternating_methods(client: LoadClient) -> None:
    asked: list[bytes] = []

    def answer(head: bytes) -> bytes:
        asked.append(head)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + (b"" if head.startswith(b"HEAD") else b"abc")

    with server(answer) as port:
        command = client.command(
            port, [("/a", 3), ("/b", 3)], connections=1, requests=4, method="ALTERNATE", headers=["X-Name: value"]
        )
        seen = run(command)
    assert [head.split()[:2] for head in asked] == [
        [b"GET", b"/a"],
        [b"HEAD", b"/b"],
        [b"HEAD", b"/a"],
        [b"GET", b"/b"],
    ]
    assert all(b"\r\nX-Name: value\r\n" in head for head in asked)
    assert (seen.bytes, seen.faults) == (6, ())


def test_reads_chunked_bodies(client: LoadClient) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    with server(lambda _: chunked) as port:
        seen = run(client.command(port, [("/a", 15)], connections=2, requests=10))
    assert (seen.requests, seen.bytes, seen.faults) == (10, 150, ())


def test_reads_to_the_end_of_the_connection_when_no_length_is_given(client: LoadClient) -> None:
    with server(lambda _: b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True) as port:
        seen = run(client.command(port, [("/a", 9)], connections=1, requests=3))
    assert (seen.requests, seen.bytes, seen.faults) == (3, 27, ())


def test_skips_interim_answers(client: LoadClient) -> None:
    with server(lambda _: b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + whole(b"abc")) as port:
        seen = run(client.command(port, [("/a", 3)], connections=1, requests=3))
    assert (seen.requests, seen.bytes, seen.faults) == (3, 9, ())


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (whole(b"abc", status="503 Service Unavailable"), "2 answers of 503"),
        (whole(b"ab"), "2 wrong lengths"),
        (whole(b"abcd")[:-1], "2 short bodies"),
        (whole(b"abc") + b"more", "2 malformed"),
    ],
)
def test_says_what_was_wrong(client: LoadClient, answer: bytes, fault: str) -> None:
    with server(lambda _: answer, close=fault.endswith("short bodies")) as port:
        seen = run(client.command(port, [("/a", 3)], connections=1, requests=2))
    assert seen.requests == 2
    assert fault in seen.faults


def test_an_answer_that_never_ends_is_a_fault_and_not_a_hang(client: LoadClient) -> None:
    with server(lambda _: whole(b"abc")[:-1]) as port:
        seen = run(client.command(port, [("/a", 3)], connections=1, requests=1, timeout=1.0))
    assert seen.faults == ("not finished in time",)


def test_a_slow_reader_takes_no_more_than_its_rate(client: LoadClient) -> None:
    with server(lambda _: whole(b"x" * 50_000_000)) as port:
        seen = run(client.command(port, [("/a", 50_000_000)], connections=2, seconds=2.0, rate=1_000_000))
    assert 0 < seen.bytes <= 2 * 2_000_000 * 1.1
    assert seen.faults == ()
