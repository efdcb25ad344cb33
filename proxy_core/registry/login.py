"""``GET /jwt/auth``: the token endpoint as clients see it."""

import time
from typing import Any
from urllib.parse import parse_qs

from proxy_core.access.client_address import client_of
from proxy_core.access.token_endpoint import TokenEndpoint
from proxy_core.errors import RegistryError, Unsupported
from proxy_core.registry.replies import Receive, Send, error_reply, json_reply, write
from proxy_core.registry.request import parse_headers
from proxy_core.settings import Settings
from proxy_core.telemetry.recorder import Recorder

_LONGEST_QUERY = 32 * 1024


class Login:
    """The token endpoint of this proxy."""

    def __init__(self, tokens: TokenEndpoint, recorder: Recorder, settings: Settings) -> None:
        self._tokens = tokens
        self._recorder = recorder
        self._trusted = settings.server.trusted_proxies

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        client = client_of(scope["client"][0], scope["scheme"], scope["headers"], self._trusted)
        exchange = self._recorder.begin(scope, str(client.address or "unknown"))
        exchange.resource = "token"
        try:
            if exchange.method not in ("GET", "HEAD"):
                # containerd posts first, and asks again with GET when it is told so.
                raise Unsupported(
                    "Pull tokens are given for GET with a Basic credential.",
                    "Nothing is wrong: clients that post first try GET next.",
                    headers={"Allow": "GET, HEAD"},
                )
            query = parse_qs(scope["query_string"][:_LONGEST_QUERY].decode("latin-1"))
            answer = await self._tokens.issue(
                service=query.get("service", [None])[0],
                scopes=query.get("scope", []),
                authorization=parse_headers(scope["headers"]).authorization,
                client=client,
                now=time.time(),
            )
            exchange.subject = answer.identity.subject
            reply = json_reply(answer.document(), headers={"Cache-Control": "no-store"})
        except RegistryError as error:
            exchange.error, exchange.detail = error.code, error.cause
            reply = error_reply(error, exchange.request_id)
        exchange.status, exchange.sent = reply.status, len(reply.body)
        try:
            await write(reply, exchange.method, send)
        finally:
            self._recorder.end(exchange)
