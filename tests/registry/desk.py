"""The registry as a client meets it, without a server between: requests as ASGI, answers as they are sent."""

import asyncio
import json
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxy_core.access.identity import Identity
from proxy_core.access.passwords import PasswordChecks
from proxy_core.reference import Image, format_wire_name
from proxy_core.registry.endpoint import Registry
from proxy_core.registry.hot import HotAnswers
from proxy_core.settings import Role, Settings, Storage, Upstream, User
from tests.access.house import DEV_HASH, House
from tests.access.house import settings as access_settings
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE
from tests.registry.conftest import Recording

PATIENCE: Final = 30.0
USERS: Final = {
    "dev": User("dev", DEV_HASH, {"my-group": Role.GUEST}),
    "other": User("other", DEV_HASH, {"my-group": Role.GUEST, "other-group": Role.GUEST}),
}


@dataclass
class Answer:
    """What a client got so far."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False  # whether the answer came to its proper end
    heads: int = 0

    @property
    def error(self) -> dict[str, Any]:
        (error,) = json.loads(self.body)["errors"]
        found: dict[str, Any] = error
        return found


class Client:
    """One request and its answer.

    :param leaves_after: bytes after which the client is gone.
    """

    def __init__(self, method: str, target: str, headers: list[tuple[str, str]], leaves_after: int | None) -> None:
        path, _, query = target.partition("?")
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "scheme": "https",
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "client": ("192.0.2.7", 40000),
        }
        self.answer = Answer()
        self._leaves_after = leaves_after
        self._gone = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        answer = self.answer
        if message["type"] == "http.response.start":
            answer.heads += 1
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif not self._gone.is_set():
            answer.body += message["body"]
            answer.ended = not message.get("more_body", False)
        if self._leaves_after is not None and len(answer.body) > self._leaves_after:
            self._gone.set()
            await asyncio.sleep(0)


class Desk:
    """A registry before the cache of one worker."""

    def __init__(self, place: Place, worker: Worker, recording: Recording, mirror: str | None = None) -> None:
        self.place, self.worker, self.recording = place, worker, recording
        base = access_settings(USERS, mirror=mirror)
        self.settings = Settings(
            storage=Storage(place.folder.directory),
            server=base.server,
            upstreams={name: Upstream(name, f"https://{name}") for name in ("docker.io", "quay.io")},
            groups={**base.groups, "other-group": base.groups["my-group"]},
            users=base.users,
            mirror=mirror,
        )
        checks = PasswordChecks()
        self.house = House(self.settings, checks)
        checks.close()  # nobody logs in here
        place.clock.now = time.time()  # as the registry knows it
        self.read: list[object] = []
        self.client: Client | None = None  # who asked last
        self.hot = HotAnswers(recording.recorder, lambda image, digest: self.read.append((image, digest)))
        self.registry = Registry(
            self.house.gate,
            worker.manifests,
            worker.blobs,
            worker.listings,
            self.hot,
            recording.recorder,
            self.settings,
        )

    def token(self, *images: Image, user: str = "dev") -> str:
        """An ``Authorization`` for these images, as the token endpoint gives it."""
        identity = Identity("users", user, {})
        return f"Bearer {self.house.pull_tokens.give(identity, images, time.time()).text}"

    async def has_begun(self) -> None:
        """Wait until who asked last has the first bytes of a body."""
        for _ in range(3000):
            if self.client and self.client.answer.body:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("no byte came")

    async def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        token: str | None = None,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        leaves_after: int | None = None,
    ) -> Answer:
        lines = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if token:
            lines.append(("Authorization", token))
        client = self.client = Client(method, target, lines, leaves_after)
        async with asyncio.timeout(PATIENCE):
            await self.registry(client.scope, client.receive, client.send)
        assert client.answer.heads == 1
        return client.answer


def path(what: str, reference: object, image: Image = ALPINE) -> str:
    """The path of a manifest or blob."""
    return f"/v2/{format_wire_name(image)}/{what}/{reference}"
