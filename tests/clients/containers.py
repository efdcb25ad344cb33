"""skopeo, podman and buildah: the clients that share the library containers/image."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.clients.client import DEV, Account
from tests.rig.processes import Completed, run
from tests.rig.proxy import Proxy

# No rlimit may be raised and no cgroup v2 made in a small container: ask for neither.
_CONTAINERS_CONF = """
[containers]
default_ulimits=["nofile=1024:1024","nproc=1024:1024"]
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
runtime="runc"
"""

_MIRROR = """
[[registry]]
prefix="docker.io"
location="docker.io"
[[registry.mirror]]
location="{prefix}"
insecure=true
"""


def mirror_config(folder: Path, proxy: Proxy) -> Path:
    """A registries.conf that puts the proxy, with its path, before Docker Hub."""
    file = folder / "mirror.conf"
    file.write_text(_MIRROR.format(prefix=proxy.prefix))
    return file


def _credentials(account: Account) -> Sequence[str]:
    return ("--creds", account.pair)


class Skopeo:
    """Copies images to folders; keeps no store."""

    name = "skopeo"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def _target(self, image: str) -> Path:
        return self.folder / image.replace("/", "_")

    def pull(self, image: str, account: Account = DEV, *options: str) -> Completed:
        source = ("--src-tls-verify=false", "--src-creds", account.pair, f"docker://{image}")
        return run(["skopeo", "copy", *options, *source, f"dir:{self._target(image)}"])

    def manifest(self, image: str) -> bytes:
        """The manifest that was copied: of the index with `--all`, else of the platform."""
        return (self._target(image) / "manifest.json").read_bytes()

    def config_digest(self, image: str) -> str:
        return str(json.loads(self.manifest(image))["config"]["digest"])

    def forget(self, image: str) -> None:
        shutil.rmtree(self._target(image))

    def login(self, host: str, account: Account = DEV) -> Completed:
        given = ("--username", account.user, "--password", account.password)
        file = ("--authfile", str(self.folder / "auth.json"))
        return run(["skopeo", "login", "--tls-verify=false", *file, *given, host])


class Podman:
    """Pulls and runs, with a store of its own."""

    name = "podman"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._config = folder / "containers.conf"
        self._config.write_text(_CONTAINERS_CONF)

    def _run(self, *arguments: str | Path, registries: Path | None = None) -> Completed:
        store = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "overlay")
        env = {"CONTAINERS_CONF": str(self._config)}
        if registries is not None:
            env["CONTAINERS_REGISTRIES_CONF"] = str(registries)
        return run(["podman", *store, *arguments], env=env)

    def pull(self, image: str, account: Account = DEV) -> Completed:
        return self._run("pull", "--tls-verify=false", *_credentials(account), image)

    def pull_by_mirror(self, image: str, registries: Path, logins: Path) -> Completed:
        """Pull a name of Docker Hub by way of the mirror in a registries.conf."""
        return self._run("pull", "--authfile", logins, image, registries=registries)

    def config_digest(self, image: str) -> str:
        found = self._run("image", "inspect", "--format", "{{.Id}}", image).check()
        return f"sha256:{found.stdout.strip()}"

    def run(self, image: str, *command: str) -> Completed:
        return self._run("run", "--rm", "--network=none", image, *command)

    def forget(self, image: str) -> None:
        self._run("rmi", "--force", image).check()

    def login(self, host: str, account: Account = DEV) -> Completed:
        given = ("--username", account.user, "--password", account.password)
        return self._run("login", "--tls-verify=false", "--authfile", self.folder / "auth.json", *given, host)

    def close(self) -> None:
        run(["umount", self.folder / "root" / "overlay"])


class Buildah:
    """Pulls and builds, with a store of its own."""

    name = "buildah"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def _run(self, *arguments: str | Path) -> Completed:
        store = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs")
        return run(["buildah", *store, *arguments])

    def pull(self, image: str, account: Account = DEV) -> Completed:
        options = ("--policy", "always", "--tls-verify=false")
        return self._run("pull", *options, *_credentials(account), image)

    def config_digest(self, image: str) -> str:
        found = self._run("images", "--quiet", "--no-trunc", image).check()
        return found.stdout.strip()

    def forget(self, image: str) -> None:
        self._run("rmi", "--force", image).check()

    def login(self, host: str, account: Account = DEV) -> Completed:
        given = ("--username", account.user, "--password", account.password)
        return self._run("login", "--tls-verify=false", "--authfile", self.folder / "auth.json", *given, host)

    def build(self, context: Path, account: Account = DEV) -> Completed:
        options = ("--isolation", "chroot", "--tls-verify=false", *_credentials(account))
        return self._run("bud", *options, "--tag", "built", context)
