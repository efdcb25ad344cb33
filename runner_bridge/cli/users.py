"""``runner-bridge users``"""

import sys

import click

from runner_bridge.cli.commands import WrongUse

MAX_INPUT = 64 * 1024  # bytes; more is a file by mistake


@click.group()
def users() -> None:
    """Users of the configuration."""


@users.command("hash-password")
def hash_password() -> None:
    """Print the hash for `users: NAME: password_hash:` of the password on standard input.

    A newline at its end is cut. From a terminal the password is asked for, twice.
    """
    password = _asked() if sys.stdin.isatty() else _piped()

    from proxy_core.access import passwords

    click.echo(passwords.hash_password(password))


def _asked() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    return password


def _piped() -> str:
    content = sys.stdin.buffer.read(MAX_INPUT)
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise WrongUse("The password is not text in UTF-8.", "Encode it as UTF-8.") from None
    if any(character in password for character in "\0\r\n"):
        raise WrongUse("The password has more than one line.", "Give only the password on standard input.")
    return password
