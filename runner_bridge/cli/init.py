"""``runner-bridge init``"""

import os
import secrets
import string
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from runner_bridge.cli.commands import WrongUse

if TYPE_CHECKING:
    from proxy_core.settings import Settings

USER = "dev"
# No character that a shell, a URL or YAML would take for its own; 24 of them are over 140 bits.
ALPHABET = string.ascii_letters + string.digits
PASSWORD_LENGTH = 24


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="RUNNER_BRIDGE_CONFIG",
    show_envvar=True,
    default="runner-bridge.yaml",
    show_default=True,
    metavar="FILE",
    help="The file to write.",
)
def init(config: Path) -> None:
    """Write a configuration to begin with, if there is none, and print how to log in and pull.

    It has one group, and one user with a random password. The password is printed this once; the file has its hash.
    """
    from proxy_core.settings.load import load
    from proxy_core.settings.problems import InvalidSettings

    password = _write(config)
    try:
        settings = load(config, os.environ)
    except InvalidSettings:
        if password is not None:
            config.unlink()  # or nobody would ever know the password in it
        raise
    if password is not None:
        click.echo(f"{config} is new. Its password is shown here and nowhere else:", err=True)
        click.echo(f"echo {password} | docker login {_host(settings)} -u {USER} --password-stdin")
    else:
        fix = "a new one: runner-bridge users hash-password"
        click.echo(f"{config} is there already; the password was shown when it was made ({fix}).", err=True)
        click.echo(f"docker login {_host(settings)} -u {next(iter(settings.users), 'USER')}")
    group = next(iter(settings.groups), "GROUP")
    click.echo(f"docker pull {_host(settings)}/{group}/dependency_proxy/containers/alpine:latest")


def _host(settings: "Settings") -> str:
    return urlsplit(settings.server.external_url).netloc


def _write(config: Path) -> str | None:
    """Write the file, at once or not at all, and give its password; ``None``: there is one already."""
    if os.path.lexists(config):
        return None
    from proxy_core.access import passwords

    password = "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LENGTH))
    template = resources.files("runner_bridge.cli").joinpath("runner-bridge.yaml").read_text()
    text = template.replace("PASSWORD_HASH", passwords.hash_password(password))
    if not config.parent.is_dir():
        raise WrongUse(f"{config.parent} is no folder.", "Create it, or name another file.")
    # mkstemp's files are for their owner alone. A link, unlike a rename, never takes the place of a file.
    number, temporary = tempfile.mkstemp(dir=config.parent, prefix=".runner-bridge-")
    try:
        with os.fdopen(number, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, config)
    except FileExistsError:
        return None
    finally:
        Path(temporary).unlink()
    return password
