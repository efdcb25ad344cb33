"""A proxy's room of access as the application would furnish it, for tests: settings, sources, endpoint and gate."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from joserfc.jwk import OKPKey

from proxy_core.access.client_address import ClientAddress, client_of
from proxy_core.access.gate import Gate
from proxy_core.access.identity import IdentitySource
from proxy_core.access.passwords import PasswordChecks, hash_password
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.access.token_endpoint import TokenAnswer, TokenEndpoint
from proxy_core.access.users import Users
from proxy_core.settings import Group, Role, Server, Settings, Storage, User

NOW = 1_790_000_000.0
EXTERNAL_URL = "https://proxy.example.com:443"
SAFE = client_of("192.0.2.7", "https", [], [])
KEY = OKPKey.generate_key("Ed25519")
DEV_HASH = hash_password("correct horse")

GROUPS = {
    "my-group": Group("my-group"),
    "my-group/off": Group("my-group/off", enabled=False),
    "secret": Group("secret"),
    "secret-off": Group("secret-off", enabled=False),
}
DEV = User("dev", DEV_HASH, {"my-group": Role.GUEST, "unserved": Role.OWNER})


def settings(
    users: Mapping[str, User] | None = None, *, mirror: str | None = None, server: Server | None = None
) -> Settings:
    return Settings(
        storage=Storage(Path("data")),
        server=server or Server(external_url=EXTERNAL_URL),
        groups=GROUPS,
        users={"dev": DEV} if users is None else users,
        mirror=mirror,
    )


def basic(username: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{username}:{password}".encode())


def bearer(answer: TokenAnswer) -> bytes:
    return b"Bearer " + answer.token.encode()


class House:
    """Settings with all that follows from them. Another one with the same key is the same proxy after a restart."""

    def __init__(
        self,
        settings: Settings,
        checks: PasswordChecks,
        *,
        more_sources: Sequence[IdentitySource] = (),
        key: OKPKey = KEY,
    ) -> None:
        sources = (Users(settings.users, checks), *more_sources)
        self.pull_tokens = PullTokens(key, issuer=settings.server.external_url, lifetime=settings.tokens.lifetime)
        self.endpoint = TokenEndpoint(sources, self.pull_tokens, settings)
        self.gate = Gate(sources, self.pull_tokens, settings)

    async def login(
        self,
        *scopes: str,
        authorization: bytes | None = basic("dev", "correct horse"),
        service: str | None = "dependency_proxy",
        client: ClientAddress = SAFE,
        now: float = NOW,
    ) -> TokenAnswer:
        return await self.endpoint.issue(
            service=service, scopes=scopes, authorization=authorization, client=client, now=now
        )


def scope(group: str, image: str = "alpine") -> str:
    return f"repository:{group}/dependency_proxy/containers/{image}:pull"
