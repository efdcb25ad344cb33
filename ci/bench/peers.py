"""The peers: nginx on the upstream's own files, docker-registry as a proxy, drayage."""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from ci.bench import nginx
from ci.bench.processes import running
from ci.bench.servers import Place, Running

DRAYAGE_VERSION = "0.2.9"
FRESHNESS_SECONDS = 900


def _first_version(command: list[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"\d+\.\d+[\w.+~-]*", answer.stdout + answer.stderr)
    return found.group() if found else "unknown"


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx with sendfile and without a log: no cache, no login, only files."""

    name: str = "nginx"

    def missing(self) -> str | None:
        return None if nginx.find() else "nginx is not installed (Debian: nginx-light)"

    def version(self) -> str:
        return _first_version([nginx.find() or nginx.BINARY, "-v"])

    @contextlib.contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        with nginx.serve(place.folder, place.upstream_tree, {place.port: "off"}) as started:
            yield Running(self.name, place.port, started.pid, started.ready_seconds)


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """CNCF distribution as a pull-through cache, with its in-memory cache of descriptors."""

    name: str = "docker-registry"

    def missing(self) -> str | None:
        return None if shutil.which("docker-registry") else "docker-registry is not installed (Debian: docker-registry)"

    def version(self) -> str:
        return _first_version(["docker-registry", "--version"])

    @contextlib.contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        configuration = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "cache": {"blobdescriptor": "inmemory"},
                "filesystem": {"rootdirectory": str(place.folder / "cache")},
            },
            "http": {"addr": f"127.0.0.1:{place.port}", "secret": "only-for-uploads"},
            "proxy": {"remoteurl": place.upstream_url},
        }
        file = place.folder / "config.yml"
        file.write_text(yaml.safe_dump(configuration))
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        with running(
            ["docker-registry", "serve", file],
            folder=place.folder,
            ready=lambda: nginx.answers(place.port, "/v2/"),
            environment=environment,
        ) as started:
            yield Running(self.name, place.port, started.pid, started.ready_seconds)


@dataclass(frozen=True, slots=True)
class Drayage:
    """A cache written in Rust that comes as a wheel; the benchmark keeps it in a virtual environment of its own."""

    home: Path
    name: str = "drayage"

    @property
    def _program(self) -> Path:
        return self.home / "bin" / "drayage"

    def missing(self) -> str | None:
        """Installs it when it is not there yet; why that failed, otherwise."""
        if self._program.exists():
            return None
        for command in (
            [sys.executable, "-m", "venv", str(self.home)],
            [str(self.home / "bin" / "pip"), "install", "--quiet", f"drayage=={DRAYAGE_VERSION}"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
            if done.returncode:
                last = (done.stderr.strip() or "no message").splitlines()[-1]
                return f"drayage {DRAYAGE_VERSION} could not be installed: {last}"
        return None

    def version(self) -> str:
        return _first_version([str(self._program), "--version"])

    @contextlib.contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        (place.folder / "cache").mkdir()
        file = place.folder / "config.toml"
        file.write_text(
            f'listen = "127.0.0.1:{place.port}"\n'
            f'cache_dir = "{place.folder / "cache"}"\n'
            f"manifest_ttl_seconds = {FRESHNESS_SECONDS}\n"
            "[upstreams.docker_io]\n"
            f'registry = "{place.upstream_url}"\n'
        )
        with running(
            [self._program, "serve", "--config", file],
            folder=place.folder,
            ready=lambda: nginx.answers(place.port, "/v2/"),
            environment={"RUST_LOG": "error"},
        ) as started:
            yield Running(self.name, place.port, started.pid, started.ready_seconds)
