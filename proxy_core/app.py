"""The composition root: the only place that knows everyone."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proxy_core.access.gate import Gate
from proxy_core.access.passwords import PasswordChecks
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.access.token_endpoint import TokenEndpoint
from proxy_core.access.users import Users
from proxy_core.cache.blobs import Blobs
from proxy_core.cache.filling.fill import Fill
from proxy_core.cache.filling.fills import Fills
from proxy_core.cache.filling.source import NoRoom
from proxy_core.cache.housekeeping import Chore, PurgeWatch, keep_house
from proxy_core.cache.listings import Listings
from proxy_core.cache.manifests import Manifests
from proxy_core.cache.pauses import Pauses
from proxy_core.cache.quotas import Quotas
from proxy_core.cache.reads import Reads
from proxy_core.errors import ProxyError, StorageError
from proxy_core.health import Health, health_routes
from proxy_core.registry.endpoint import Registry
from proxy_core.registry.hot import HotAnswers
from proxy_core.registry.login import Login
from proxy_core.registry.replies import Receive, Send
from proxy_core.settings import Settings
from proxy_core.storage.blobs.room import Room
from proxy_core.storage.folder import Folder
from proxy_core.storage.index.model import Index, Quota
from proxy_core.storage.index.sql import open_index
from proxy_core.telemetry.lines import LineWriter
from proxy_core.telemetry.logs import AccessLog, event_log
from proxy_core.telemetry.metrics import Metrics, gauge
from proxy_core.telemetry.recorder import Recorder
from proxy_core.telemetry.upstreams import UpstreamRecorder
from proxy_core.tokens import load_or_create_signing_key
from proxy_core.upstream import QuotaReading, UpstreamClient, open_upstream

if TYPE_CHECKING:
    from prometheus_client import Metric

_LOOK_FOR_PURGES: Final = 0.4  # seconds; every worker knows of a purge within one
_SETTLE: Final = 1.0
_FLUSH_LOGS: Final = 0.2
_FLUSH_READS: Final = 5.0
_CLEAN_SPOOL: Final = 3600.0


class App:
    """The ASGI application of one worker: who is asked, by the path."""

    def __init__(self, registry: Registry, login: Login, others: Health) -> None:
        self._registry = registry
        self._login = login
        self._others = others

    def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        path = scope["raw_path"]
        if path.startswith(b"/v2/") or path == b"/v2":
            return self._registry(scope, receive, send)
        if path == b"/jwt/auth":
            return self._login(scope, receive, send)
        return self._others(scope, receive, send)


@asynccontextmanager
async def open_app(settings: Settings, *, metrics_folder: Path, readable_logs: bool, worker: int) -> AsyncIterator[App]:
    """The application, with everything that it needs open, and its chores running.

    :param metrics_folder: where the processes of this run of the server write their numbers.
    :param readable_logs: lines for people, not for machines.
    :param worker: which worker this process is, from 1.
    :raises StorageError: the storage folder or its index can not be used.
    """
    async with AsyncExitStack() as stack:
        lines = LineWriter(sys.stdout.fileno())
        stack.callback(lines.close)
        event = event_log(lines, readable=readable_logs, worker=worker)
        metrics = Metrics(metrics_folder)
        recorder = Recorder(metrics, AccessLog(lines, readable=readable_logs), event)

        folder = Folder(settings.storage.directory)
        room = folder.room(settings.storage.max_size, settings.storage.min_free)

        def not_kept(error: StorageError) -> None:
            event("not_kept", cause=error.cause)

        index = await open_index(settings.storage.directory, not_kept)
        stack.push_async_callback(index.close)
        asked: UpstreamRecorder[QuotaReading] = UpstreamRecorder(metrics)
        quotas = Quotas(index, asked, time.time)
        upstreams: dict[str, UpstreamClient] = {}
        for name, upstream in settings.upstreams.items():
            upstreams[name] = open_upstream(upstream, asked)
            stack.push_async_callback(upstreams[name].close)

        reads = Reads(index, time.time)
        stack.push_async_callback(reads.flush)
        pauses = Pauses(index, time.time)
        manifests = Manifests(index, folder.locks, upstreams, pauses, clock=time.time, read=reads.manifest)
        stack.push_async_callback(manifests.close)
        filled = _Filled(index, room, recorder)
        fills = Fills(
            folder.spool, folder.blobs, room, settings.storage.max_fills, filled=filled.add, failed=filled.failed
        )
        stack.push_async_callback(fills.close)
        blobs = Blobs(index, folder.blobs, fills, upstreams, pauses, clock=time.time, read=reads.blob)
        stack.push_async_callback(blobs.close)
        listings = Listings(index, upstreams, pauses, clock=time.time)
        stack.push_async_callback(listings.close)

        checks_of_passwords = PasswordChecks()
        stack.callback(checks_of_passwords.close)
        sources = [Users(settings.users, checks_of_passwords)]
        tokens = PullTokens(
            load_or_create_signing_key(settings.storage.directory),
            issuer=settings.server.external_url,
            lifetime=settings.tokens.lifetime,
        )
        hot = HotAnswers(recorder, reads.manifest)
        gate = Gate(sources, tokens, settings)
        registry = Registry(gate, manifests, blobs, listings, hot, recorder, settings)
        login = Login(TokenEndpoint(sources, tokens, settings), recorder, settings)
        purges = PurgeWatch(index, (hot.forget, manifests.forget, blobs.forget, listings.forget))

        async def settle() -> None:
            hot.settle()
            recorder.settle()
            metrics.fills_running.set(fills.leading())
            if lines.dropped:
                metrics.log_lines_dropped.inc(lines.dropped)
                lines.dropped = 0
            await quotas.flush()

        async def page() -> bytes:
            await settle()
            return metrics.page(_quota_gauges(await quotas.all()))

        async def flush_logs() -> None:
            lines.flush()

        async def count_stored() -> None:
            room.stored = await index.stored_bytes()

        async def storage_writable() -> None:
            folder.check()

        async def clean_spool() -> None:
            await asyncio.to_thread(folder.spool.clean)

        chores = (
            Chore("look for purges", _LOOK_FOR_PURGES, purges.look),
            Chore("settle", _SETTLE, settle),
            Chore("flush logs", _FLUSH_LOGS, flush_logs),
            Chore("flush reads", _FLUSH_READS, reads.flush),
            Chore("count stored bytes", _FLUSH_READS, count_stored),
            Chore("clean the spool", _CLEAN_SPOOL, clean_spool),
        )

        def chore_failed(name: str, error: Exception) -> None:
            event("chore_failed", chore=name, cause=str(error) or type(error).__name__)

        housekeeping = asyncio.create_task(keep_house(chores, chore_failed))
        stack.push_async_callback(_end, housekeeping)
        checks = {"index": index.check, "storage": storage_writable}
        event("worker_ready", upstreams=sorted(upstreams), directory=str(settings.storage.directory))
        yield App(registry, login, Health(health_routes(checks, page), recorder))
        await settle()
        event("worker_stops")


class _Filled:
    """What is to be done when a fill of this process ends."""

    def __init__(self, index: Index, room: Room, recorder: Recorder) -> None:
        self._index = index
        self._room = room
        self._recorder = recorder
        self._saving: set[asyncio.Task[None]] = set()

    def add(self, fill: Fill) -> None:
        self._recorder.metrics.fills.labels("filled").inc()
        self._recorder.metrics.filled_bytes.inc(fill.size)
        self._room.stored += fill.size
        self._recorder.event("blob_filled", digest=str(fill.digest), bytes=fill.size)
        task = asyncio.create_task(self._save(fill))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    def failed(self, fill: Fill, error: Exception) -> None:
        outcome = "uncached" if isinstance(error, NoRoom) else str(getattr(error, "kind", "failed"))
        self._recorder.metrics.fills.labels(outcome).inc()
        if isinstance(error, NoRoom):
            self._recorder.metrics.uncached.inc()
        cause = error.cause if isinstance(error, ProxyError) else str(error)
        self._recorder.event("fill_failed", digest=str(fill.digest), outcome=outcome, cause=cause)

    async def _save(self, fill: Fill) -> None:
        try:
            await self._index.add_blob(fill.digest, fill.size, time.time())
        except ProxyError as error:
            # The blob is served all the same; `cache verify` brings the index up to date.
            self._recorder.event("index_failed", digest=str(fill.digest), cause=error.cause)


def _quota_gauges(quotas: Sequence[Quota]) -> "list[Metric]":
    labels = ("upstream", "account")
    limits = [((one.upstream, one.account), float(one.limit)) for one in quotas]
    left = [((one.upstream, one.account), float(one.remaining)) for one in quotas]
    return [
        gauge("upstream_quota_limit", "Pulls that the upstream allows in its window.", labels, limits),
        gauge("upstream_quota_remaining", "Pulls that the upstream still allows in its window.", labels, left),
    ]


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
