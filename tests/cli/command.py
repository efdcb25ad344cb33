"""Runs `runner-bridge` as a user does."""

import sys
from pathlib import Path

from tests.rig.processes import Completed, run

PROGRAM = Path(sys.executable).with_name("runner-bridge")


def runner_bridge(*arguments: str | Path, cwd: Path | None = None, stdin: str = "", **env: str) -> Completed:
    """The command with these arguments, and with these variables added to the environment."""
    return run([PROGRAM, *arguments], cwd=cwd, stdin=stdin, env=env)
