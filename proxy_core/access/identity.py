"""Who someone is: what a client shows, what a source of identity makes of it, and what a source is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy_core.access.grants import Grant
from proxy_core.reference import Image
from proxy_core.settings.model import Role


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client shows at the token endpoint, as it is."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom a source knows, with what he may do."""

    source: str
    subject: str  # unique within the source, fit for logs
    roles: Mapping[str, Role]  # of the groups that were asked about; where he has none, the group is missing
    expires_at: float | None = None  # seconds since the epoch; no pull token of his lives longer
    credential_id: str = ""  # by which the credential can be revoked; no secret

    def may_pull(self, image: Image) -> bool:
        """Whether a role allows it; whether the group is served is another question."""
        return image.group in self.roles


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a source does not take a credential."""

    reason: str  # for whoever runs the proxy
    told: str = ""  # for the client, if it is more than "wrong": only what the holder of a genuine credential may know
    final: bool = False  # the source alone decides about such credentials: no other is asked


class IdentitySource(Protocol):
    """Somebody who knows people or jobs. ``tests/access/conformance.py`` says what each must do.

    A login is asked of the source once, and it may take its time; a pull token then speaks for the holder. At each
    pull only :meth:`objection` and :meth:`role` are called, thousands of times a second: they look things up in
    memory and ask nobody. A source that knows roles only by asking (GitLab; a credential that carries its own
    groups) answers :meth:`role` from the grant: what it said at the login holds until the token ends.
    """

    @property
    def name(self) -> str:
        """Its name in tokens and logs. It stays the same over restarts."""
        ...

    async def authenticate(self, credential: Credential, groups: Collection[str], now: float) -> Identity | Refusal:
        """Who shows this credential, and his roles in these groups.

        :param now: seconds since the epoch.
        :raises Unavailable: it can not be known now; that is no answer about the credential.
        """
        ...

    def objection(self, grant: Grant) -> Refusal | None:
        """Why this token no longer counts although it has not expired: its holder is gone, or was revoked."""
        ...

    def role(self, grant: Grant, group: str) -> Role | None:
        """The holder's role in a group now, own or inherited, as far as it is known without asking."""
        ...
