"""The gate before each pull: is the token good, and may its holder pull this image now?"""

from collections.abc import Iterable

from proxy_core.access.challenges import bearer_challenge, login_command, login_needed
from proxy_core.access.grants import Grant, RememberedGrants
from proxy_core.access.identity import IdentitySource
from proxy_core.access.policy import demand_pull
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.errors import Unauthorized
from proxy_core.reference import Image
from proxy_core.settings.model import Settings
from proxy_core.tokens import MAX_TOKEN, Rejection


class Gate:
    """Admits pulls. Synchronous: after a token's first use only memory is looked at.

    The token says what its holder was allowed when he logged in; the source of identity and the configuration say
    what holds now. All must agree.
    """

    def __init__(self, sources: Iterable[IdentitySource], pull_tokens: PullTokens, settings: Settings) -> None:
        self._sources = {source.name: source for source in sources}
        self._pull_tokens = pull_tokens
        self._settings = settings
        self._remembered = RememberedGrants()

    def admit(self, authorization: bytes | None, image: Image, *, wire_name: str, now: float) -> Grant:
        """The grant under which this image may be pulled.

        :param authorization: the header as it came.
        :param wire_name: what the client called the image; the challenge repeats it, and nothing is decided by it.
        :param now: seconds since the epoch.
        :raises Unauthorized: no token, a bad one, or one that does not cover this image; with the challenge.
        :raises NameUnknown: see :func:`~proxy_core.access.policy.demand_pull`.
        :raises Denied: the same.
        """
        grant = self._remembered.get(authorization, now) if authorization is not None else None
        if grant is None:
            grant = self._verified(authorization, now, wire_name)
        source = self._vouching(grant, wire_name)
        demand_pull(self._settings, image.group, source.role(grant, image.group))
        if image not in grant.images:
            raise self._unauthorized(
                f"The pull token does not cover {image.repository} of the group {image.group}.",
                wire_name,
                "insufficient_scope",
            )
        return grant

    def ping(self, authorization: bytes | None, now: float) -> Grant:
        """The grant of whoever asks for ``/v2/`` with a good token.

        :raises Unauthorized: there is none; the challenge has no scope.
        """
        grant = self._remembered.get(authorization, now) if authorization is not None else None
        if grant is None:
            grant = self._verified(authorization, now, None)
        self._vouching(grant, None)
        return grant

    def _verified(self, authorization: bytes | None, now: float, wire_name: str | None) -> Grant:
        scheme, _, token = (authorization or b"").partition(b" ")
        if authorization is None or scheme.lower() != b"bearer":
            challenge = bearer_challenge(self._settings.server.external_url, wire_name=wire_name)
            raise login_needed(self._settings.server.external_url, "A pull token is needed.", challenge)
        if len(authorization) > MAX_TOKEN:
            raise self._invalid(Rejection.MALFORMED.value, wire_name)
        grant = self._pull_tokens.verify(token.strip().decode("latin-1"), now)
        if isinstance(grant, Rejection):
            raise self._invalid(grant.value, wire_name)
        self._remembered.put(authorization, grant)
        return grant

    def _vouching(self, grant: Grant, wire_name: str | None) -> IdentitySource:
        source = self._sources.get(grant.source)
        if source is None:
            raise self._invalid("logins of its kind are no longer configured here", wire_name)
        objection = source.objection(grant)
        if objection is not None:
            raise self._invalid(objection.told or "its credential no longer counts", wire_name)
        return source

    def _invalid(self, reason: str, wire_name: str | None) -> Unauthorized:
        return self._unauthorized(f"The pull token is not accepted: {reason}.", wire_name, "invalid_token")

    def _unauthorized(self, cause: str, wire_name: str | None, error: str) -> Unauthorized:
        external_url = self._settings.server.external_url
        challenge = bearer_challenge(external_url, wire_name=wire_name, error=error)
        return Unauthorized(
            cause,
            f"The client asks for a new token at the next pull. If that fails too: {login_command(external_url)}",
            headers={"WWW-Authenticate": challenge},
        )
