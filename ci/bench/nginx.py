"""nginx as a static registry: the upstream of all, and the peer that shows what sendfile can do."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from ci.bench.images import MANIFEST_TYPE, Blob, Image
from ci.bench.processes import Started, running

BINARY = "nginx"
WORKERS = 2

# A door is a port with a log of its own. Tags spell their digest (images.Image.tag).
_DOOR = """
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    access_log {access_log};
    root {tree};
    location = /v2/ {{ default_type application/json; return 200 "{{}}"; }}
    location ~ "^/v2/.+/manifests/(sha256:[0-9a-f]{{64}})$" {{
      default_type {manifest_type};
      add_header Docker-Content-Digest $1;
    }}
    location ~ "^/v2/(.+)/manifests/v-([0-9a-f]{{64}})$" {{
      alias {tree}/v2/$1/manifests/sha256:$2;
      default_type {manifest_type};
      add_header Docker-Content-Digest sha256:$2;
    }}
    location ~ "^/v2/.+/blobs/(sha256:[0-9a-f]{{64}})$" {{ add_header Docker-Content-Digest $1; }}
  }}"""

_FILE = """{user}
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  types {{}}
  default_type application/octet-stream;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  open_file_cache max=1000 inactive=60s;
  log_format pull '$request_method $status $body_bytes_sent $request_uri';
  {doors}
}}
"""


def find() -> str | None:
    """The program, or None when it is not installed; Debian keeps it where users' PATH does not look."""
    return shutil.which(BINARY) or shutil.which(BINARY, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serve(folder: Path, tree: Path, doors: Mapping[int, str]) -> Iterator[Started]:
    """Serves `tree` on ports of the loopback; `doors` maps each port to its `access_log` ("off", "<file> pull")."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = _FILE.format(
        user="user root;" if os.geteuid() == 0 else "",  # else its workers could not enter the folder
        workers=WORKERS,
        folder=folder,
        doors="".join(
            _DOOR.format(port=port, access_log=log, tree=tree, manifest_type=MANIFEST_TYPE)
            for port, log in doors.items()
        ),
    )
    (folder / "nginx.conf").write_text(configuration)
    command: list[str | Path] = [find() or BINARY, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    with running(command, folder=folder, ready=lambda: answers(min(doors), "/v2/")) as started:
        yield started


def answers(port: int, path: str) -> bool:
    """Whether a GET of `path` is answered with 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False


@dataclass(frozen=True, slots=True)
class Upstream:
    """The registry that all servers cache. Each has its own door to it, so each one's requests are counted apart."""

    tree: Path
    ports: Mapping[str, int]
    logs: Path
    pid: int

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def blob(self, image: Image, blob: Blob) -> Path:
        """The file that it serves for a blob."""
        return self.tree / "v2" / image.repository / "blobs" / blob.digest

    def requests(self, name: str) -> list[str]:
        """What `name` has asked so far: lines of method, status, body bytes and path."""
        return (self.logs / f"{name}.log").read_text().splitlines()


@contextlib.contextmanager
def upstream(folder: Path, tree: Path, ports: Mapping[str, int]) -> Iterator[Upstream]:
    """Runs the upstream with a door for each name in `ports`."""
    doors = {port: f"{folder}/{name}.log pull" for name, port in ports.items()}
    with serve(folder, tree, doors) as started:
        yield Upstream(tree, ports, folder, started.pid)
