"""The ASGI application behind ``/v2``: parse, admit, answer, write; and errors, written in one place."""

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

from proxy_core.access.client_address import client_of
from proxy_core.access.gate import Gate
from proxy_core.cache.blobs import Blobs
from proxy_core.cache.failures import Trouble
from proxy_core.cache.listings import Listed, Listings
from proxy_core.cache.manifests import Manifests, Served, State
from proxy_core.errors import NameUnknown, ProxyError, RegistryError, UpstreamBroken
from proxy_core.registry.blobs import BlobAnswers
from proxy_core.registry.bodies import Sent
from proxy_core.registry.hot import HotAnswers, Key
from proxy_core.registry.listings import answer_referrers, answer_tags
from proxy_core.registry.manifests import answer_manifest
from proxy_core.registry.replies import Receive, Reply, Send, error_reply, json_reply, write
from proxy_core.registry.request import (
    BlobRequest,
    Headers,
    ManifestRequest,
    Ping,
    Place,
    PullRequest,
    ReferrersRequest,
    TagsRequest,
    parse_headers,
    parse_target,
    refuse_method,
)
from proxy_core.settings import Settings
from proxy_core.telemetry.exchange import Exchange
from proxy_core.telemetry.recorder import Recorder

_A_TAGS_SECOND: Final = 1.0  # how long an answer to a tag is given again: its Age counts in seconds


class Registry:
    """``/v2`` of this proxy."""

    def __init__(
        self,
        gate: Gate,
        manifests: Manifests,
        blobs: Blobs,
        listings: Listings,
        hot: HotAnswers,
        recorder: Recorder,
        settings: Settings,
    ) -> None:
        self._gate = gate
        self._manifests = manifests
        self._blobs = BlobAnswers(blobs)
        self._listings = listings
        self._hot = hot
        self._recorder = recorder
        self._mirror = settings.mirror
        self._upstreams: Collection[str] = settings.upstreams
        self._trusted = settings.server.trusted_proxies

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        started = time.time()
        client = scope["client"][0] if not self._trusted else self._client(scope)
        key = self._hot.key(scope)
        if hot := self._hot.get(key, started):
            await send(hot.start)
            await send(hot.body)
            self._hot.given(hot, client, started)
            return
        exchange = self._recorder.begin(scope, client)
        try:
            await self._answer(scope, exchange, key, receive, send)
        except asyncio.CancelledError:
            exchange.error = exchange.error or "cancelled"
            raise
        finally:
            self._recorder.end(exchange)

    async def _answer(self, scope: dict[str, Any], exchange: Exchange, key: Key, receive: Receive, send: Send) -> None:
        try:
            refuse_method(exchange.method)
            headers = parse_headers(scope["headers"])
            target = parse_target(scope["raw_path"], scope["query_string"], self._mirror)
            if isinstance(target, Ping):
                exchange.resource = "ping"
                exchange.subject = self._gate.ping(headers.authorization, time.time()).subject
                await self._write(json_reply({}), exchange, send)
                return
            until = self._admit(target, headers, exchange)
            if isinstance(target, BlobRequest):
                await self._blob(target, headers, exchange, receive, send)
                return
            reply = await self._reply(target, scope["query_string"], headers, exchange, key, until)
            await self._write(_echo(reply, target.place), exchange, send)
        except RegistryError as error:
            exchange.error, exchange.detail = error.code, error.cause
            await self._write(error_reply(error, exchange.request_id), exchange, send)
        except ProxyError as error:
            await self._write(self._unexpected(error, exchange), exchange, send)
        except Exception as error:
            self._recorder.event("unexpected_error", request_id=exchange.request_id, error=error)
            await self._write(self._unexpected(error, exchange), exchange, send)

    def _admit(self, target: PullRequest, headers: Headers, exchange: Exchange) -> float:
        """Until when the admission counts; and that the upstream is one that is configured."""
        place = target.place
        exchange.resource = _RESOURCES[type(target)]
        grant = self._gate.admit(headers.authorization, place.image, wire_name=place.wire_name, now=time.time())
        exchange.subject = grant.subject
        upstream = place.image.repository.upstream
        if upstream not in self._upstreams:
            raise NameUnknown(
                f"The registry {upstream} is not configured as an upstream of this proxy.",
                f"Ask the operator to add it: upstreams: {{{upstream}: {{url: https://{upstream}}}}}.",
            )
        exchange.upstream = upstream
        return grant.expires_at

    async def _reply(
        self,
        target: ManifestRequest | TagsRequest | ReferrersRequest,
        query: bytes,
        headers: Headers,
        exchange: Exchange,
        key: Key,
        until: float,
    ) -> Reply:
        now = time.time()
        if isinstance(target, ManifestRequest):
            answer = await answer_manifest(target, headers, self._manifests, now)
            self._note(exchange, answer.served)
            self._keep(key, until, answer.reply, exchange, target, answer.served)
            return answer.reply
        if isinstance(target, TagsRequest):
            reply, listed = await answer_tags(target, query, self._listings, now)
        else:
            reply, listed = await answer_referrers(target, query, self._listings, now)
        self._note(exchange, listed)
        return reply

    def _keep(
        self, key: Key, until: float, reply: Reply, exchange: Exchange, target: ManifestRequest, served: Served
    ) -> None:
        """An answer from memory may be given again, until the token or the tag's freshness ends."""
        if served.state is not State.HIT or reply.status != 200 or target.place.namespace:
            return
        if served.fresh_until is not None:
            until = min(until, served.fresh_until, time.time() + _A_TAGS_SECOND)
        exchange.status = reply.status
        exchange.sent = 0 if exchange.method == "HEAD" else len(reply.body)
        self._hot.keep(key, until, reply, exchange, target.place.image, served.manifest.digest)

    async def _blob(
        self, target: BlobRequest, headers: Headers, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        sent = Sent(0, State.HIT)
        try:
            if exchange.method == "HEAD":
                await self._blobs.head(target, send, sent, time.time())
            else:
                await self._blobs.get(target, headers, receive, send, sent, time.time())
        except ProxyError as error:
            if not sent.status:
                raise
            # Too late for another status: the connection closes short of the length that was promised.
            exchange.error, exchange.detail = "broken_off", error.cause
        except Exception as error:
            if not sent.status:
                raise
            exchange.error = "broken_off"
            self._recorder.event("unexpected_error", request_id=exchange.request_id, error=error)
        else:
            if not sent.complete:
                exchange.error = "client_left"
        finally:
            exchange.status, exchange.state, exchange.sent = sent.status, sent.state.value, sent.size

    def _note(self, exchange: Exchange, answer: Served | Listed) -> None:
        exchange.state = answer.state.value
        if trouble := answer.trouble:
            self._stale(exchange, trouble)

    def _stale(self, exchange: Exchange, trouble: Trouble) -> None:
        exchange.detail = trouble.cause
        self._recorder.metrics.stale.labels(exchange.upstream, trouble.kind).inc()

    async def _write(self, reply: Reply, exchange: Exchange, send: Send) -> None:
        exchange.status = reply.status
        exchange.sent = 0 if exchange.method == "HEAD" else len(reply.body)
        await write(reply, exchange.method, send)

    def _unexpected(self, error: Exception, exchange: Exchange) -> Reply:
        """A fault of ours: what it was stands in the log, under the id that the client is shown. What the storage says
        names files of this machine, so it is for the operator alone."""
        exchange.error = "UNKNOWN"
        exchange.detail = error.cause if isinstance(error, ProxyError) else type(error).__name__
        told = UpstreamBroken(
            "This proxy has a fault.", f"Tell the operator: request {exchange.request_id}.", status=500
        )
        return error_reply(told, exchange.request_id)

    def _client(self, scope: dict[str, Any]) -> str:
        peer = client_of(scope["client"][0], scope["scheme"], scope["headers"], self._trusted)
        return str(peer.address or "unknown")


_RESOURCES: Final[dict[type, str]] = {
    ManifestRequest: "manifest",
    BlobRequest: "blob",
    TagsRequest: "tags",
    ReferrersRequest: "referrers",
}


def _echo(reply: Reply, place: Place) -> Reply:
    """A client that says which registry it means hears it back (specification, "Registry Proxying")."""
    return reply.with_headers({"OCI-Namespace": place.namespace}) if place.namespace else reply
