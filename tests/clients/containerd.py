"""containerd of our own, driven by ctr."""

import json
from pathlib import Path
from typing import Any

from tests.clients.client import DEV, Account
from tests.rig.processes import Completed, Process, run

_CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.sock.ttrpc"
"""

_SNAPSHOTTER = ("--snapshotter", "native")


class Containerd:
    """containerd with its data in `folder`."""

    name = "containerd"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        config = folder / "config.toml"
        config.write_text(_CONFIG.format(folder=folder))
        self.daemon = Process.started(
            ("containerd", "-c", config),
            lambda: self._ctr("version").returncode == 0,
            "answer to ctr version",
            log=folder / "containerd.log",
            timeout=30,
        )

    def _ctr(self, *arguments: str | Path) -> Completed:
        return run(["ctr", "--address", self.folder / "containerd.sock", *arguments])

    def pull(self, image: str, account: Account = DEV) -> Completed:
        return self._pull("--plain-http", "--user", account.pair, image)

    def pull_by_mirror(self, image: str, hosts: Path, account: Account = DEV) -> Completed:
        """Pull by way of the hosts.toml files in a folder."""
        return self._pull("--hosts-dir", hosts, "--user", account.pair, image)

    def _pull(self, *arguments: str | Path) -> Completed:
        return self._ctr("images", "pull", "--platform", "linux/amd64", *_SNAPSHOTTER, *arguments)

    def config_digest(self, image: str) -> str:
        manifest = self._content(self.digest(image))
        if "manifests" in manifest:
            manifest = self._content(_amd64(manifest["manifests"]))
        return str(manifest["config"]["digest"])

    def digest(self, image: str) -> str:
        """Of what the name stands for: the index's, if it is one."""
        listed = self._ctr("images", "list", f"name=={image}").check().stdout.splitlines()
        return listed[1].split()[2]

    def _content(self, digest: str) -> Any:
        return json.loads(self._ctr("content", "get", digest).check().stdout)

    def run(self, image: str, *command: str) -> Completed:
        return self._ctr("run", "--rm", *_SNAPSHOTTER, image, "rig", *command)

    def forget(self, image: str) -> None:
        self._ctr("images", "remove", "--sync", image).check()

    def close(self) -> None:
        self.daemon.stop(20)


def write_hosts(folder: Path, namespace: str, host: str, *, override_path: bool = False) -> Path:
    """hosts.toml for one registry: its only host is the proxy (`host`: a URL), so no fallback hides a failure."""
    file = folder / namespace / "hosts.toml"
    file.parent.mkdir(parents=True)
    lines = ['capabilities = ["pull", "resolve"]', *(["override_path = true"] if override_path else [])]
    file.write_text("\n".join(['server = "https://registry.invalid"', f'[host."{host}"]', *lines, ""]))
    return folder


def _amd64(manifests: list[dict[str, Any]]) -> str:
    return str(next(each["digest"] for each in manifests if each["platform"]["architecture"] == "amd64"))
