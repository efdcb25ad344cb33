"""Pulls as dockerd does: the same requests in the same order, a connection for each; and hashes what comes."""

import base64
import hashlib
import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from runner_bridge.demo.exchange import Exchange
from runner_bridge.demo.failures import DemoFailed
from runner_bridge.demo.image import INDEX_TYPE, MANIFEST_TYPE
from runner_bridge.demo.proxy import Proxy

ARCHITECTURE: Final = "amd64"

_ACCEPT: Final = (
    MANIFEST_TYPE,
    INDEX_TYPE,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_TIMEOUT: Final = 20.0  # seconds without a byte
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    exchange: Exchange
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def pull(proxy: Proxy, image: str, tag: str, *, reached: Callable[[str], None]) -> tuple[Exchange, ...]:
    """Pull the image of one platform, and forget it.

    :param reached: told the last part of a path (a digest, for a blob) when the first bytes of its body are here.
    :returns: the requests in order.
    :raises DemoFailed: an answer without which the pull can not go on.
    """
    wire = _Wire(proxy, reached)
    name = proxy.repository(image)
    challenge = wire.ask("GET", "/v2/", expected=401).headers.get("www-authenticate", "")
    bearer = wire.token(challenge, name)
    head = wire.ask("HEAD", f"/v2/{name}/manifests/{tag}", bearer)
    index = wire.ask("GET", f"/v2/{name}/manifests/{head.headers.get('docker-content-digest')}", bearer)
    child = _child(json.loads(index.body))
    manifest = json.loads(wire.ask("GET", f"/v2/{name}/manifests/{child}", bearer).body)
    for blob in (manifest["config"], *manifest["layers"]):
        wire.ask("GET", f"/v2/{name}/blobs/{blob['digest']}", bearer)
    return tuple(wire.exchanges)


def _child(index: dict[str, Any]) -> str:
    (digest,) = (one["digest"] for one in index["manifests"] if one["platform"]["architecture"] == ARCHITECTURE)
    return str(digest)


@dataclass(slots=True)
class _Wire:
    proxy: Proxy
    reached: Callable[[str], None]
    exchanges: list[Exchange] = field(default_factory=list)

    def token(self, challenge: str, name: str) -> str:
        """Log in where the challenge says, for one repository; the ``Authorization`` to go on with."""
        told = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        path = told.get("realm", "").removeprefix(f"http://{self.proxy.host}")
        if not path.startswith("/"):
            raise DemoFailed("The proxy sends clients elsewhere for a token.", "This is a bug in runner-bridge.")
        scope = {"account": self.proxy.user, "service": told.get("service", ""), "scope": f"repository:{name}:pull"}
        pair = base64.b64encode(f"{self.proxy.user}:{self.proxy.password}".encode()).decode()
        answer = self.ask("GET", f"{path}?{urlencode(scope)}", f"Basic {pair}")
        return f"Bearer {json.loads(answer.body)['token']}"

    def ask(self, method: str, target: str, authorization: str | None = None, *, expected: int = 200) -> _Answer:
        """:raises DemoFailed: no answer, or another status than expected."""
        path = target.partition("?")[0]
        try:
            answer = self._ask(method, target, authorization)
        except (OSError, http.client.HTTPException) as error:
            raise DemoFailed(
                f"{method} {path}: no answer from the proxy ({type(error).__name__}).", "Run the demo again."
            ) from error
        self.exchanges.append(answer.exchange)
        if answer.exchange.status != expected:
            told = answer.body.decode(errors="replace")[:500]
            raise DemoFailed(
                f"{method} {path}: the proxy answered {answer.exchange.status}, not {expected}: {told}",
                "This is a bug in runner-bridge, unless the answer says otherwise.",
            )
        return answer

    def _ask(self, method: str, target: str, authorization: str | None) -> _Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=_TIMEOUT)
        path = target.partition("?")[0]
        started = time.perf_counter()
        try:
            connection.putrequest(method, target)
            for media_type in _ACCEPT if "/manifests/" in path else ():
                connection.putheader("Accept", media_type)
            if authorization is not None:
                connection.putheader("Authorization", authorization)
            connection.putheader("Connection", "close")
            connection.endheaders()
            response = connection.getresponse()
            body, first_byte = self._read(response, path)
            times = (started, first_byte, time.perf_counter())
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        exchange = Exchange(
            method,
            path,
            response.status,
            len(body),
            *times,
            digest=f"sha256:{hashlib.sha256(body).hexdigest()}" if body else None,
            cache_status=headers.get("cache-status", ""),
            warning=headers.get("warning", ""),
        )
        return _Answer(exchange, headers, body)

    def _read(self, response: http.client.HTTPResponse, path: str) -> tuple[bytes, float | None]:
        """The body, and when its first bytes were here."""
        body = bytearray()
        first_byte = None
        while chunk := response.read1(_CHUNK):
            if first_byte is None:
                first_byte = time.perf_counter()
                self.reached(path.rpartition("/")[2])
            body += chunk
        if response.length:
            raise http.client.IncompleteRead(bytes(body), response.length)
        return bytes(body), first_byte
