"""What the benchmark starts ends with it."""

import sys
from pathlib import Path

import pytest

from ci.bench.processes import BenchError, peak_rss, running, workers_of

PARENT = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("child").write_text(str(child.pid))
time.sleep(60)
"""


def content(note: Path) -> str:
    return note.read_text() if note.exists() else ""


def test_children_are_workers_and_end_with_their_parent_on_failure(tmp_path: Path) -> None:
    note = tmp_path / "child"
    seen: list[int] = []

    def fail(pid: int) -> None:
        seen.extend([pid, *workers_of(pid)])
        assert peak_rss(seen[1]) > 1_000_000
        raise RuntimeError("the figure failed")

    def measure() -> None:
        with running([sys.executable, "-c", PARENT], folder=tmp_path, ready=lambda: content(note) != "") as started:
            fail(started.pid)

    with pytest.raises(RuntimeError, match="the figure failed"):
        measure()
    assert seen[1:] == [int(note.read_text())]
    assert [peak_rss(pid) for pid in seen] == [0, 0]


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('port in use'); raise SystemExit(3)"]
    with pytest.raises(BenchError, match="port in use"), running(command, folder=tmp_path, ready=lambda: False):
        pass
