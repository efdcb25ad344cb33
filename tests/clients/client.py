"""What the tests ask of any container client."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.rig.processes import Completed
from tests.rig.proxy import PASSWORD, USER


@dataclass(frozen=True, slots=True)
class Account:
    """A user name and a password, as given to a client."""

    user: str = USER
    password: str = PASSWORD

    @property
    def pair(self) -> str:
        return f"{self.user}:{self.password}"


DEV = Account()


class Client(Protocol):
    """A program that pulls images. `image` is HOST:PORT/PATH:TAG, or a name that a mirror is set up for."""

    name: str

    def pull(self, image: str, account: Account = DEV) -> Completed:
        """Pull for linux/amd64, logged in; plain http is allowed."""

    def config_digest(self, image: str) -> str:
        """Of an image that was pulled: the digest of its configuration, which is the image's id."""

    def forget(self, image: str) -> None:
        """Remove the image and its layers, so that the next pull asks for all of it."""


class Runner(Client, Protocol):
    """A client that also runs containers."""

    def run(self, image: str, *command: str) -> Completed:
        """Run a command in a new container, without a network."""


class Login(Protocol):
    """A client with a `login` command."""

    name: str

    def login(self, host: str, account: Account = DEV) -> Completed: ...


def write_logins(file: Path, account: Account, *hosts: str) -> Path:
    """A config.json of Docker's or an auth.json of podman's: they agree on this part."""
    auth = base64.b64encode(account.pair.encode()).decode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"auths": {host: {"auth": auth} for host in hosts}}))
    return file


def host_of(image: str) -> str:
    """HOST:PORT of an image's full name."""
    return image.partition("/")[0]
