"""A Docker engine of our own: dockerd, its classic builder and its BuildKit."""

import json
import shutil
from pathlib import Path
from typing import Literal

from tests.clients.client import DEV, Account, host_of, write_logins
from tests.rig.processes import Completed, Process, run

HUB_LOGIN = "https://index.docker.io/v1/"
"""The key under which Docker keeps the login of Docker Hub, which it also shows to registry-mirrors."""

Builder = Literal["classic", "buildkit"]


def command_line() -> str:
    """The CLI of Debian's docker.io if it is here: newer ones need a plug-in to build with BuildKit."""
    debian = Path("/usr/bin/docker")
    return str(debian) if debian.exists() else shutil.which("docker") or "docker"


class Docker:
    """dockerd with its data in `folder`. `mirrors`: URLs of registry-mirrors, which may have no path."""

    name = "docker"

    def __init__(self, folder: Path, *mirrors: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._socket = f"unix://{folder}/docker.sock"
        self._cli = command_line()
        config = folder / "daemon.json"
        config.write_text(
            json.dumps(
                {
                    "insecure-registries": ["127.0.0.0/8"],
                    "registry-mirrors": list(mirrors),
                    "data-root": str(folder / "data"),
                    "exec-root": str(folder / "exec"),
                    "pidfile": str(folder / "pid"),
                    "hosts": [self._socket],
                    "iptables": False,
                    "ip6tables": False,
                    "bridge": "none",
                    "storage-driver": "overlay2",
                }
            )
        )
        self.daemon = Process.started(
            ("dockerd", "--config-file", config),
            lambda: self._docker("version").returncode == 0,
            "answer to docker version",
            log=folder / "dockerd.log",
            timeout=30,
        )

    def _docker(
        self,
        *arguments: str | Path,
        logins: Path | None = None,
        builder: Builder = "classic",
        stdin: str = "",
    ) -> Completed:
        env = {
            "DOCKER_HOST": self._socket,
            "DOCKER_CONFIG": str(logins.parent if logins else self.folder / "anonymous"),
            "DOCKER_BUILDKIT": "1" if builder == "buildkit" else "0",
            "BUILDKIT_PROGRESS": "plain",
        }
        return run([self._cli, *arguments], env=env, stdin=stdin)

    def logins(self, account: Account, *hosts: str) -> Path:
        """A config.json with this account for these hosts."""
        return write_logins(self.folder / "logins" / "config.json", account, *hosts)

    def pull(self, image: str, account: Account = DEV, *, login_for: str = "") -> Completed:
        """`login_for`: the key of the login; default is the image's host."""
        logins = self.logins(account, login_for or host_of(image))
        return self._docker("pull", image, logins=logins)

    def config_digest(self, image: str) -> str:
        return self._docker("image", "inspect", "--format", "{{.Id}}", image).check().stdout.strip()

    def run(self, image: str, *command: str) -> Completed:
        return self._docker("run", "--rm", "--network", "none", image, *command)

    def forget(self, image: str) -> None:
        self._docker("rmi", "--force", image).check()

    def login(self, host: str, account: Account = DEV) -> Completed:
        arguments = ("login", "--username", account.user, "--password-stdin", host)
        logins = self.logins(account)
        return self._docker(*arguments, logins=logins, stdin=account.password)

    def build(self, context: Path, builder: Builder, logins: Path) -> Completed:
        """`docker build`, without any cache of earlier builds."""
        options = ("--no-cache", "--pull", "--network=host", "--tag", "built")
        return self._docker("build", *options, context, logins=logins, builder=builder)

    def close(self) -> None:
        self.daemon.stop(20)
        for mount in (self.folder / "exec" / "netns" / "default", self.folder / "data"):
            run(["umount", mount])
