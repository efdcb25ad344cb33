"""The proxy as its users start it: `runner-bridge serve --config FILE`, and a small client to ask it.

with Proxy(tmp_path, {"upstreams": {"docker.io": {"url": upstream.url}}}) as proxy:
    manifest = proxy.client.get(path_of("alpine", "latest"))
"""

import os
import re
import signal
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import argon2
import httpx2
import yaml

from tests.rig.processes import Process, command_of, free_port

GROUP = "my-group"
USER = "dev"
PASSWORD = "correct horse"  # a test's, and nobody else's
COMMAND = Path(sys.executable).with_name("runner-bridge")

PASSWORD_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""Of `PASSWORD`, as cheap as argon2id can be: tests log in often."""

Settings = Mapping[str, Any]


def path_of(image: str, reference: str, *, what: str = "manifests", group: str = GROUP) -> str:
    """The path of a manifest or a blob (or `tags`, `referrers`) under GitLab's prefix."""
    return f"/v2/{group}/dependency_proxy/containers/{image}/{what}/{reference}"


def scope_of(image: str, group: str = GROUP) -> str:
    """What a client asks the token endpoint for before it pulls this image."""
    return f"repository:{group}/dependency_proxy/containers/{image}:pull"


def scopes_in(path: str) -> tuple[str, ...]:
    """The scope that a client asks for before it asks for this path; none for `/v2/` itself."""
    found = re.match(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/", path)
    return (f"repository:{found[1]}:pull",) if found else ()


def merged(left: Settings, right: Settings) -> dict[str, Any]:
    """Both, `right` winning; mappings are merged, all else is replaced."""
    result = dict(left)
    for key, value in right.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


class Client:
    """Asks the proxy over HTTP as a container client does: first for a token, then with it."""

    def __init__(
        self, url: str, user: str = USER, password: str = PASSWORD, *, trust: ssl.SSLContext | None = None
    ) -> None:
        self.http = httpx2.Client(base_url=url, timeout=30, trust_env=False, verify=trust or True)
        self._credentials = (user, password)

    def login(self, *scopes: str, user: str | None = None, password: str | None = None) -> httpx2.Response:
        """The token endpoint's answer to these credentials (default: this client's)."""
        known_user, known_password = self._credentials
        return self.http.get(
            "/jwt/auth",
            params={"service": "dependency_proxy", "scope": list(scopes)},
            auth=(known_user if user is None else user, known_password if password is None else password),
        )

    def token(self, *scopes: str, user: str | None = None, password: str | None = None) -> str:
        """A pull token.

        :raises httpx2.HTTPStatusError: the credentials do not allow it.
        """
        answer = self.login(*scopes, user=user, password=password).raise_for_status()
        return str(answer.json()["token"])

    def headers(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def request(
        self, method: str, path: str, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Ask with this token (default: a fresh one for the repository in `path`)."""
        known = self.token(*scopes_in(path)) if token is None else token
        return self.http.request(method, path, headers={**self.headers(known), **(headers or {})})

    def get(self, path: str, token: str | None = None, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        return self.request("GET", path, token, headers)

    def head(self, path: str, token: str | None = None, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        return self.request("HEAD", path, token, headers)

    def close(self) -> None:
        self.http.close()


class Proxy:
    """A running proxy. `settings` are merged over: one listener, one group, one user who is a guest of it.

    `trust`: whom `client` trusts where the settings have TLS. `env`: what the proxy's environment has besides.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        trust: ssl.SSLContext | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if 'tls' in settings.get('server', {}) else 'http'}://{self.host}"
        self.settings = merged(self._defaults(), settings)
        self._env = env
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.config_file = folder / "proxy.yaml"
        self.config_file.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        self.client = Client(self.url, trust=trust)
        self.start()

    def _defaults(self) -> dict[str, Any]:
        return {
            "server": {"listen": self.host, "external_url": self.url, "workers": 2},
            "storage": {"directory": str(self.folder / "data"), "min_free": "100MiB"},
            "groups": {GROUP: {"enabled": True}},
            "users": {USER: {"password_hash": PASSWORD_HASH, "groups": {GROUP: "guest"}}},
        }

    @property
    def prefix(self) -> str:
        """What stands before an image's name: HOST:PORT/GROUP/dependency_proxy/containers."""
        return self.prefix_of(GROUP)

    def prefix_of(self, group: str) -> str:
        """The same for another group."""
        return f"{self.host}/{group}/dependency_proxy/containers"

    @property
    def data(self) -> Path:
        """Its storage folder."""
        return Path(self.settings["storage"]["directory"])

    def start(self) -> None:
        """Start it (again), and wait until it says that it is ready.

        :raises Unfinished: it ended, or was not ready within 30 s; the text holds its log.
        """
        argv = (COMMAND, "serve", "--config", self.config_file)
        log = self.folder / "proxy.log"
        self._process = Process.started(argv, self._ready, "readiness", log=log, env=self._env, cwd=self.folder)

    def _ready(self) -> bool:
        try:
            # A probe of liveness only: TLS is what tests of their own ask about.
            return httpx2.get(f"{self.url}/-/readiness", timeout=2, verify=False, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    @property
    def process(self) -> Process:
        assert self._process is not None, "the proxy has not been started"
        return self._process

    @property
    def log(self) -> str:
        return self.process.log

    def workers(self) -> tuple[int, ...]:
        """The process ids of its workers, or its own if it has none."""
        # Python's multiprocessing keeps a small child of its own beside the workers.
        children = [pid for pid in self.process.children() if b"resource_tracker" not in command_of(pid)]
        return tuple(children) or (self.process.pid,)

    def kill_worker(self, pid: int) -> None:
        """SIGKILL for one of `workers`."""
        assert pid in self.workers(), f"{pid} is not a worker of this proxy"
        os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL for all at once, as power loss would."""
        self.process.kill()

    def stop(self, timeout: float = 20) -> int:
        """A graceful stop; its exit code (-9: it had to be killed after `timeout` seconds)."""
        return self.process.stop(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()
