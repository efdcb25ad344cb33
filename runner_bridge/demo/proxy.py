"""The real proxy, as `runner-bridge serve` starts it, for as long as a demo takes."""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from runner_bridge.demo.failures import DemoFailed

GROUP: Final = "demo"
USER: Final = "dev"

_START: Final = 20.0  # seconds
_SETTLE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy, and who may pull from it."""

    port: int
    user: str
    password: str = field(repr=False)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def settle(self) -> None:
        """Wait until every blob that was fetched is in its place: clients have it a moment before.

        :raises DemoFailed: that takes longer than it ever should.
        """
        end = time.monotonic() + _SETTLE
        while "\nrunner_bridge_fills_running 0.0\n" not in _get(self.port, "/-/metrics"):
            if time.monotonic() > end:
                raise DemoFailed(
                    f"The proxy still fetches {_SETTLE:.0f} seconds after a pull.", "This is a bug in runner-bridge."
                )
            time.sleep(0.02)

    def repository(self, image: str) -> str:
        """The image's name behind GitLab's prefix."""
        return f"{GROUP}/dependency_proxy/containers/{image}"


@contextlib.contextmanager
def serving(folder: Path, upstream: str) -> Iterator[Proxy]:
    """A proxy before this upstream, that has answered its readiness.

    :param folder: an empty one, for all that the proxy writes.
    :raises DemoFailed: it does not start.
    """
    proxy = Proxy(_free_port(), USER, secrets.token_urlsafe(18))
    config, log = folder / "demo.yaml", folder / "proxy.log"
    config.write_text(yaml.safe_dump(_settings(proxy, upstream)))
    argv = [sys.executable, "-P", "-m", "runner_bridge.demo.serve", str(config)]
    with log.open("wb") as output:
        # Its own process group: Ctrl-C is for the demo, and the proxy's workers can be ended with it.
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(os.environ, folder),
            process_group=0,
        )
    try:
        _await_readiness(process, proxy, log)
        yield proxy
    finally:
        _end(process)


def _settings(proxy: Proxy, upstream: str) -> dict[str, Any]:
    from proxy_core.access import passwords

    return {
        # One worker: each has upstream tokens of its own, and a second one's token request would only confuse.
        "server": {"listen": proxy.host, "workers": 1},
        "storage": {"directory": "data", "max_size": "1GiB", "min_free": "16MiB"},
        "upstreams": {"docker.io": {"url": upstream}},
        "groups": {GROUP: {"enabled": True}},
        "users": {proxy.user: {"password_hash": passwords.hash_password(proxy.password), "groups": {GROUP: "guest"}}},
    }


def _environment(ours: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Without settings of another proxy, without a way out of this machine, and with temporary files in the folder."""
    apart = (name for name in ours if not name.startswith("RUNNER_BRIDGE_") and not name.lower().endswith("_proxy"))
    return {name: ours[name] for name in apart} | {"TMPDIR": str(folder)}


def _await_readiness(process: "subprocess.Popen[bytes]", proxy: Proxy, log: Path) -> None:
    end = time.monotonic() + _START
    while not _get(proxy.port, "/-/readiness"):
        if process.poll() is not None:
            told = " ".join(log.read_text(errors="replace").split())[-500:]
            raise DemoFailed(f"The proxy ended with exit code {process.returncode}: {told}", "Run the demo again.")
        if time.monotonic() > end:
            raise DemoFailed(
                f"The proxy was not ready within {_START:.0f} seconds.",
                "Look whether this machine is busy, and run the demo again.",
            )
        time.sleep(0.02)


def _get(port: int, path: str) -> str:
    """The body of a 200; empty for all else."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read().decode() if response.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""  # not yet, or not any more
    finally:
        connection.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the proxy and its workers at once: nothing of them is kept."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
