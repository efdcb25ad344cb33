"""Our own proxy, run as an operator would: one file, one group, one user."""

import base64
import contextlib
import functools
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import yaml

from ci.bench import nginx
from ci.bench.processes import BenchError, running
from ci.bench.servers import Place, Running

GROUP = "bench"
CONTAINERS = f"{GROUP}/dependency_proxy/containers/"
USER = "bench"
INSTALLED = Path(sys.executable).with_name("runner-bridge")


@dataclass(frozen=True, slots=True)
class RunnerBridge:
    """`runner-bridge serve`, with as many worker processes as asked."""

    workers: int = 2
    program: Path = INSTALLED
    name: str = "runner-bridge"

    def missing(self) -> str | None:
        done = self._run("--version")
        if done.returncode:
            return f"runner-bridge does not start: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
        return None

    def version(self) -> str:
        return (self._run("--version").stdout.split() or ["unknown"])[-1]

    @contextlib.contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        password = secrets.token_urlsafe(16)
        file = place.folder / "runner-bridge.yaml"
        file.write_text(yaml.safe_dump(self._configuration(place, self._hash(password))))
        with running(
            [self.program, "serve", "--config", file],
            folder=place.folder,
            ready=lambda: nginx.answers(place.port, "/-/readiness"),
        ) as started:
            yield Running(
                self.name,
                place.port,
                started.pid,
                started.ready_seconds,
                prefix=f"/v2/{CONTAINERS}",
                credentials=functools.cache(lambda repository: [_bearer(place.port, repository, password)]),
            )

    def _run(self, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        command = [str(self.program), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)

    def _hash(self, password: str) -> str:
        done = self._run("users", "hash-password", text=password)
        if done.returncode:
            raise BenchError(f"runner-bridge users hash-password failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def _configuration(self, place: Place, password_hash: str) -> dict[str, object]:
        address = f"127.0.0.1:{place.port}"
        return {
            "server": {"listen": address, "external_url": f"http://{address}", "workers": self.workers},
            "storage": {"directory": str(place.folder / "data")},
            "upstreams": {"docker.io": {"url": place.upstream_url, "freshness": "15m", "max_stale": "7d"}},
            "groups": {GROUP: {"enabled": True}},
            "users": {USER: {"password_hash": password_hash, "groups": {GROUP: "guest"}}},
            "tokens": {"lifetime": "1h"},  # one login must last for a figure, and for work by hand
        }


def _bearer(port: int, repository: str, password: str) -> str:
    """Logs in as clients do and gives the header line with the pull token."""
    basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
    scope = f"repository:{CONTAINERS}{repository}:pull"
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(
            "GET", f"/jwt/auth?service=dependency_proxy&scope={scope}", headers={"Authorization": f"Basic {basic}"}
        )
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != 200:
        raise BenchError(f"no pull token: {answer.status} {body[:500]!r}")
    return f"Authorization: Bearer {json.loads(body)['token']}"
