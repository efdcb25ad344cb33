"""A source that knows roles only by the credential itself, as job credentials and GitLab's answers will: the Protocol
must fit it. A ticket is random text that was sold for some groups, until some time, and can be torn up.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from proxy_core.access.grants import Grant
from proxy_core.access.identity import Credential, Identity, Refusal
from proxy_core.access.policy import role_in
from proxy_core.settings import Role


@dataclass(frozen=True)
class Ticket:
    number: str
    holder: str
    groups: frozenset[str]
    expires_at: float


@dataclass
class Tickets:
    sold: dict[str, Ticket]  # by their secret
    torn: set[str] = field(default_factory=set)  # numbers
    name: str = "tickets"

    async def authenticate(self, credential: Credential, groups: Collection[str], now: float) -> Identity | Refusal:
        ticket = self.sold.get(credential.password)
        if ticket is None:
            return Refusal("not a ticket")
        if ticket.holder != credential.username:
            return Refusal("another's ticket", final=True)
        if ticket.number in self.torn:
            return Refusal("torn up", told=f"Ticket {ticket.number} was revoked.", final=True)
        if now >= ticket.expires_at:
            return Refusal("expired", told=f"Ticket {ticket.number} has expired.", final=True)
        roles = dict.fromkeys(ticket.groups, Role.GUEST)
        held = {group: Role.GUEST for group in groups if role_in(roles, group)}
        return Identity(self.name, ticket.holder, held, ticket.expires_at, ticket.number)

    def objection(self, grant: Grant) -> Refusal | None:
        if grant.credential_id in self.torn:
            return Refusal("torn up", told=f"ticket {grant.credential_id} was revoked")
        return None

    def role(self, grant: Grant, group: str) -> Role | None:
        return Role.GUEST if grant.touches(group) else None
