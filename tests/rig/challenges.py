"""How an upstream asks who is there: Basic, or Docker's bearer flow with a token endpoint of its own."""

import base64
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Protocol

from tests.rig.contents import refusal
from tests.rig.wire import Answer, Request

TOKEN_PATH = "/token"


class Challenge(Protocol):
    def refuse(self, request: Request, url: str) -> Answer | None:
        """The challenge, or None to let the request through. `url` is the upstream's own."""

    def token(self, request: Request) -> Answer:
        """The answer of the token endpoint."""


@dataclass(slots=True)
class Basic:
    """Basic credentials on each request."""

    username: str
    password: str

    def refuse(self, request: Request, url: str) -> Answer | None:
        if _basic(request) == (self.username, self.password):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="rig"'}
        return refusal(401, "UNAUTHORIZED", "authentication required", challenge)

    def token(self, request: Request) -> Answer:
        return refusal(404, "UNSUPPORTED", "no tokens here")


@dataclass(slots=True)
class Bearer:
    """Docker's token flow. Without `username` the endpoint gives tokens to anyone.

    Tokens live `expires_in` seconds (None: not told, and 60, as the spec has it) or until `expire`.
    `fields`: the names under which the token is answered. `realm`: default is the upstream's own endpoint.
    """

    username: str | None = None
    password: str | None = None
    expires_in: float | None = 300
    fields: tuple[str, ...] = ("token",)
    realm: str | None = None
    service: str = "registry.rig"
    _tokens: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict, repr=False)

    def refuse(self, request: Request, url: str) -> Answer | None:
        if not request.path.startswith("/v2"):
            return None
        repository = _repository(request.path)
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        known = self._tokens.get(token) if scheme.lower() == "bearer" else None
        if known and known[0] > time.monotonic() and (repository is None or repository in known[1]):
            return None
        parts = {"realm": self.realm or url + TOKEN_PATH, "service": self.service}
        if repository is not None:
            parts["scope"] = f"repository:{repository}:pull"
        if token:
            parts["error"] = "insufficient_scope" if known else "invalid_token"
        value = "Bearer " + ",".join(f'{name}="{text}"' for name, text in parts.items())
        return refusal(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": value})

    def token(self, request: Request) -> Answer:
        given = _basic(request)
        if self.username is not None and given != (self.username, self.password):
            return refusal(401, "UNAUTHORIZED", "incorrect username or password")
        scopes = " ".join(request.query.get("scope", [])).split()
        names = frozenset(scope.split(":")[1] for scope in scopes if scope.count(":") == 2)
        token = secrets.token_hex(16)
        lifetime = 60 if self.expires_in is None else self.expires_in
        self._tokens[token] = (time.monotonic() + lifetime, names)
        body: dict[str, object] = dict.fromkeys(self.fields, token)
        if self.expires_in is not None:
            body["expires_in"] = int(self.expires_in)
        return Answer(200, (("Content-Type", "application/json"),), json.dumps(body).encode())

    def expire(self) -> None:
        """No token given so far counts any more, whatever was said of its life."""
        self._tokens.clear()


def _repository(path: str) -> str | None:
    found = re.match(r"/v2/(.+)/(manifests|blobs|tags|referrers)/", path)
    return found[1] if found else None


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = (request.header("Authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    username, _, password = base64.b64decode(value).decode().partition(":")
    return username, password
