"""Log lines: whole beside those of other processes, and never in the way of who logs."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy_core.telemetry.lines import LineWriter
from tests.storage.processes import Process

PIPE_BUF = 4096


class Pipe:
    """A pipe, as between a server and what takes its log."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def close(self) -> None:
        for fd in (self.read_end, self.write_end):
            if fd >= 0:
                os.close(fd)

    def close_write_end(self) -> None:
        os.close(self.write_end)
        self.write_end = -1

    def close_read_end(self) -> None:
        os.close(self.read_end)
        self.read_end = -1

    def take_all(self) -> list[bytes]:
        """All lines until the last writer has closed the pipe."""
        content = bytearray()
        while piece := os.read(self.read_end, 1 << 20):
            content += piece
        return bytes(content).splitlines(keepends=True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_lines_come_in_order_and_whole(pipe: Pipe) -> None:
    writer = LineWriter(pipe.write_end)
    lines = [b"%d %s\n" % (number, b"x" * (number % 3000)) for number in range(300)]
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.extend(pipe.take_all()))
    reader.start()
    for line in lines:
        writer.write(line)
    writer.close()
    pipe.close_write_end()
    reader.join(30)
    assert taken == lines
    assert writer.dropped == 0


def test_a_line_waits_for_a_flush_and_not_longer(pipe: Pipe) -> None:
    writer = LineWriter(pipe.write_end)
    writer.write(b"hello\n")
    writer.flush()
    assert os.read(pipe.read_end, 100) == b"hello\n"
    writer.close()


def test_several_processes_share_a_pipe_and_no_line_is_torn(tmp_path: Path) -> None:
    """Each writes through a named pipe, lines up to what a pipe takes in one piece; their reader is slow at first."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    code = f"""
        import json, os
        from proxy_core.telemetry.lines import LineWriter
        writer = LineWriter(os.open({str(fifo)!r}, os.O_WRONLY))
        say("ready")
        for number in range(400):
            text = json.dumps({{"process": NAME, "number": number, "text": "x" * (number * 37 % 4000)}})
            writer.write(text.encode() + b"\\n")
            if number % 7 == 0:
                writer.flush()
        writer.close()
        say(str(writer.dropped))
    """
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Process(code.replace("NAME", "0")) as one, Process(code.replace("NAME", "1")) as other:
            assert one.heard() == other.heard() == "ready"
            os.set_blocking(reader, True)
            pipe = Pipe()
            pipe.close()
            pipe.read_end = reader
            lines = pipe.take_all()
            assert (one.heard(), other.heard()) == ("0", "0")
    finally:
        os.close(reader)
    parsed = [json.loads(line) for line in lines]
    assert all(len(line) <= PIPE_BUF for line in lines)
    for process in (0, 1):
        assert [line["number"] for line in parsed if line["process"] == process] == list(range(400))


def test_a_reader_that_stalls_makes_nobody_wait_and_what_is_lost_is_counted(pipe: Pipe) -> None:
    writer = LineWriter(pipe.write_end)
    line = b"x" * 1023 + b"\n"
    began = time.monotonic()
    for _ in range(12_000):
        writer.write(line)
    writer.flush()
    assert time.monotonic() - began < 10
    assert writer.dropped > 0
    dropped = writer.dropped
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.extend(pipe.take_all()))
    reader.start()
    writer.close()
    pipe.close_write_end()
    reader.join(30)
    assert len(taken) + dropped == 12_000
    assert set(taken) == {line}


def test_a_reader_that_is_gone_is_no_error(pipe: Pipe) -> None:
    writer = LineWriter(pipe.write_end)
    pipe.close_read_end()
    for _ in range(10):
        writer.write(b"hello\n")
    writer.close()
    assert writer.dropped == 10


def test_a_file_gets_all_lines_too(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        writer = LineWriter(file.fileno())
        for number in range(5000):
            writer.write(b"%d\n" % number)
        writer.close()
    assert (tmp_path / "log").read_bytes().split() == [b"%d" % number for number in range(5000)]
