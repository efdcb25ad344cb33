"""The group of all commands: imported when used, and one way for all their errors."""

import difflib
import importlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from proxy_core.errors import ConfigurationError, ProxyError

OUR_PACKAGES = ("proxy_core", "runner_bridge")


class Failure(click.ClickException):
    """What a user reads when a command fails: what is wrong, and below it what to do."""

    exit_code = 1

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(f"{cause}\n  fix: {fix}" if fix else cause)

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class WrongUse(Failure):
    """A failure that a better command line, configuration or input would have avoided."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands stand in modules of their own.

    :param places: name of a command -> ``module:attribute``.
    """

    def __init__(self, *args: Any, places: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], self._places, n=1)
        if near and args[0] not in self._places:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what it raises into what its user reads."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("", err=True)  # ends the line in which the terminal showed ^C
            ctx.exit(130)
        except ProxyError as error:
            failure = WrongUse if isinstance(error, ConfigurationError) else Failure
            raise failure(error.cause, error.fix) from error
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise  # click's own
        except Exception as error:
            if ctx.params["debug"]:
                click.echo(traceback.format_exc(), err=True, nl=False)
            raise _unexpected(error) from error


def _unexpected(error: Exception) -> Failure:
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] not in OUR_PACKAGES:
        return Failure(f"The package {error.name} is not installed.", "Run: pip install 'runner-bridge[proxy]'")
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return Failure(f"{place}{error.strerror}.", "Correct that, and run the command again.")
    # Not the error's text: no one has looked at it for secrets.
    cause = f"Unexpected {type(error).__name__} in {_place(error.__traceback__)}: this is a bug in runner-bridge."
    return Failure(cause, "Run it again as `runner-bridge --debug ...`, and report what it prints.")


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
