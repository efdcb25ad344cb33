"""How commands end: their exit codes, and what a user reads."""

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from proxy_core.errors import ConfigurationError, StorageError
from runner_bridge.cli import COMMANDS, main
from runner_bridge.cli.commands import Commands
from tests.cli.command import runner_bridge


def ended(error: Callable[[], BaseException], *options: str) -> Result:
    """How a command ends that raises this."""

    def fail() -> None:
        raise error()

    group = Commands("program", places={}, params=[click.Option(["--debug"], is_flag=True)])
    command = click.Command("fail", callback=fail)
    group.get_command = lambda ctx, cmd_name: command  # type: ignore[method-assign]
    return CliRunner().invoke(group, [*options, "fail"])


def missing_module() -> BaseException:
    return ModuleNotFoundError("No module named 'starlette.routing'", name="starlette.routing")


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (lambda: ConfigurationError("It is wrong.", "Mend it."), 2, "It is wrong.\n  fix: Mend it.\n"),
        (lambda: StorageError("It is full.", "Make room."), 1, "It is full.\n  fix: Make room.\n"),
        (lambda: PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied.\n  fix: Correct that"),
        (missing_module, 1, "The package starlette.routing is not installed.\n  fix: Run: pip install 'runner-bri"),
        (KeyboardInterrupt, 130, "\n"),
        (click.Abort, 130, "\n"),
        (lambda: click.UsageError("Not so."), 2, "Usage: "),
    ],
)
def test_errors_are_a_line_of_cause_and_a_line_of_fix(
    error: Callable[[], BaseException], code: int, stderr: str
) -> None:
    result = ended(error)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(stderr)
    assert "Traceback" not in result.stderr


def test_what_nobody_expected_is_called_a_bug_and_not_shown() -> None:
    result = ended(lambda: ValueError("s3cret"))
    assert result.exit_code == 1
    assert "Unexpected ValueError in test_errors.py:" in result.stderr
    assert "bug" in result.stderr
    assert "s3cret" not in result.stderr


def test_debug_shows_all_of_it() -> None:
    result = ended(lambda: ValueError("all of it"), "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "ValueError: all of it" in result.stderr


def test_every_command_is_listed_with_what_it_does() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"  {name} " in result.stdout


def test_the_version() -> None:
    assert runner_bridge("--version").check().stdout == "runner-bridge 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serv"], "No such command 'serv'. Did you mean 'serve'?"),
        (["xyzzy"], "No such command 'xyzzy'."),
        (["serve", "--confg", "x"], "--config"),
        (["check-config", "--format", "xml"], "'text', 'json'"),
        (["serve", "stray"], "unexpected extra argument"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str], words: str) -> None:
    done = runner_bridge(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
