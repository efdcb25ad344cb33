"""A real registry: Debian's docker-registry (distribution 2.8.2), with its request log."""

import json
import uuid
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from tests.rig.images import Blob, Image, Index
from tests.rig.processes import Process, accepts, free_port, wait_for

_OURS = "rig"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the request log."""

    method: str
    path: str
    query: str
    status: int
    user_agent: str


class Registry:
    """A docker-registry on a port that stays the same over `stop` and `start`.

    It knows sha256 only for manifests, and has no referrers API: clients use the fallback tag.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "config.yml"
        self._config.write_text(json.dumps(self._settings()))
        self._log = folder / "log"
        self._seen = 0
        self._client = httpx2.Client(base_url=self.url, headers={"User-Agent": _OURS}, timeout=20, trust_env=False)
        self._process: Process | None = None
        self.start()

    def _settings(self) -> dict[str, Any]:
        return {
            "version": "0.1",
            "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._folder / "data")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "rig"},
        }

    def start(self) -> None:
        """Start it (again), and wait until it listens."""
        argv = ("docker-registry", "serve", self._config)
        self._process = Process.started(argv, lambda: accepts(self.port), "listening", log=self._log)

    def stop(self) -> None:
        """An outage: connections are refused until `start`."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def push(self, repository: str, content: Image | Index, *tags: str) -> None:
        """Put an image or an index, with all it names, under its digest and under the tags.

        :raises httpx2.HTTPStatusError: the registry refused.
        """
        for each in content.images if isinstance(content, Index) else (content,):
            for part in each.blobs:
                self._push_blob(repository, part)
            self._push_manifest(repository, each.manifest, each.digest)
        for reference in (content.digest, *tags):
            self._push_manifest(repository, content.manifest, reference)

    def _push_blob(self, repository: str, part: Blob) -> None:
        if self._client.head(f"/v2/{repository}/blobs/{part.digest}").status_code == 200:
            return
        started = self._client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
        target = httpx2.URL(started.headers["Location"]).copy_merge_params({"digest": part.digest})
        headers = {"Content-Type": "application/octet-stream"}
        self._client.put(target, content=part.data, headers=headers).raise_for_status()

    def _push_manifest(self, repository: str, manifest: Blob, reference: str) -> None:
        path = f"/v2/{repository}/manifests/{reference}"
        headers = {"Content-Type": manifest.media_type}
        self._client.put(path, content=manifest.data, headers=headers).raise_for_status()

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, and with it the tags that lead to it."""
        self._client.delete(f"/v2/{repository}/manifests/{digest}").raise_for_status()

    def requests(self) -> tuple[Entry, ...]:
        """All that was asked since `forget`, but for what the rig itself asked."""
        lines = self._lines()[self._seen :]
        return tuple(entry for entry in map(_entry, lines) if entry and entry.user_agent != _OURS)

    def count(self, method: str = "*", path: str = "*") -> int:
        """How many requests there were since `forget`; both are patterns, as of a shell."""
        return sum(fnmatchcase(entry.method, method) and fnmatchcase(entry.path, path) for entry in self.requests())

    def forget(self) -> None:
        """Count from here."""
        self._seen = len(self._lines())

    def _lines(self) -> list[str]:
        # A line is written after its answer has gone out: ask for something of our own, and wait for its line.
        if self._process is not None:
            mark = uuid.uuid4().hex
            self._client.get("/v2/", params={"mark": mark})
            wait_for(lambda: mark in self._log.read_text(), "line of the log")
        return self._log.read_text().splitlines()

    def close(self) -> None:
        self.stop()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _entry(line: str) -> Entry | None:
    record = json.loads(line) if line.startswith("{") else {}
    if "http.response.status" not in record:
        return None
    parts = urlsplit(record["http.request.uri"])
    return Entry(
        method=record["http.request.method"],
        path=parts.path,
        query=parts.query,
        status=record["http.response.status"],
        user_agent=record.get("http.request.useragent", ""),
    )
