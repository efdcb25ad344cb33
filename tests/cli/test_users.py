"""`runner-bridge users hash-password`"""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.cli.command import PROGRAM, runner_bridge


@pytest.mark.parametrize("stdin", ["pässword", "pässword\n", "pässword\r\n"])
def test_a_password_from_standard_input(stdin: str) -> None:
    done = runner_bridge("users", "hash-password", stdin=stdin).check()
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith("$argon2id$")
    assert PasswordHasher().verify(line, "pässword")


@pytest.mark.parametrize(
    ("stdin", "cause"),
    [
        ("", "empty or too long"),
        ("\n", "empty or too long"),
        ("x" * 5000, "empty or too long"),
        ("x" * 1_000_000, "empty or too long"),
        ("a\nb\n", "more than one line"),
    ],
)
def test_what_is_no_password_is_refused(stdin: str, cause: str) -> None:
    done = runner_bridge("users", "hash-password", stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert cause in done.stderr
    assert "fix: " in done.stderr


def test_a_password_that_is_not_text() -> None:
    done = subprocess.run(
        [PROGRAM, "users", "hash-password"], input=b"\xff\xfe", capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"UTF-8" in done.stderr


def test_at_a_terminal_it_asks_twice_and_shows_nothing(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "hash").open("wb") as hash_file:
        child = subprocess.Popen([PROGRAM, "users", "hash-password"], stdin=theirs, stdout=hash_file, stderr=theirs)
    os.close(theirs)
    shown = b""
    for prompt in (b"Password: ", b"Once more: "):
        shown = until(ours, prompt, shown)
        os.write(ours, b"s3cret\n")
    try:
        assert child.wait(20) == 0
    finally:
        child.kill()
        os.close(ours)
    assert b"s3cret" not in shown
    assert PasswordHasher().verify((tmp_path / "hash").read_text().strip(), "s3cret")


def until(terminal: int, prompt: bytes, shown: bytes) -> bytes:
    """What a terminal shows until a prompt is there, within 20 s."""
    deadline = time.monotonic() + 20
    while not shown.endswith(prompt):
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no {prompt!r} in {shown!r}"
        shown += os.read(terminal, 1024)
    return shown
