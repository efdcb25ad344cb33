"""``GET /jwt/auth``: a login becomes a pull token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy_core.access.basic import read_basic
from proxy_core.access.challenges import SERVICE, basic_challenge, login_needed
from proxy_core.access.client_address import ClientAddress, may_send_credentials
from proxy_core.access.identity import Credential, Identity, IdentitySource
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.access.scopes import images_asked
from proxy_core.errors import Denied, Unauthorized, Unsupported
from proxy_core.settings.model import Settings


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """The answer to a login (docker's token specification)."""

    identity: Identity
    token: str = field(repr=False)
    issued_at: int  # seconds since the epoch
    expires_in: int  # seconds

    def document(self) -> dict[str, str | int]:
        """The JSON body. No ``refresh_token``: docker would keep it in the password's place, and post it for ever."""
        return {
            "token": self.token,
            "access_token": self.token,
            "expires_in": self.expires_in,
            "issued_at": datetime.fromtimestamp(self.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class TokenEndpoint:
    """Asks the sources of identity in turn who a login is, and gives a token for what he may pull."""

    def __init__(self, sources: Sequence[IdentitySource], pull_tokens: PullTokens, settings: Settings) -> None:
        """:param sources: in the order in which they are asked."""
        self._sources = tuple(sources)
        self._pull_tokens = pull_tokens
        self._settings = settings

    async def issue(
        self,
        *,
        service: str | None,
        scopes: Iterable[str],
        authorization: bytes | None,
        client: ClientAddress,
        now: float,
    ) -> TokenAnswer:
        """A token for those of the asked images that the login may pull; for no image, if that is none.

        That a role is missing is said at the pull, as GitLab does: clients show only the status of this answer.

        :param service: the ``service`` parameter; :param scopes: all ``scope`` parameters.
        :param now: seconds since the epoch.
        :raises Unsupported: 404: another service is asked for; 400: too many scopes.
        :raises Unauthorized: no credential, or one that nobody knows.
        :raises Denied: a credential came over plain http.
        :raises Unavailable: a source can not answer now.
        """
        if service != SERVICE:
            raise Unsupported(
                "The requested authentication service is not known here.",
                f"Ask with service={SERVICE}, as the challenge of /v2/ says.",
                status=404,
            )
        asked = images_asked(scopes, self._settings.mirror)
        credential = self._credential(authorization, client)
        identity = await self._identify(credential, {image.group for image in asked}, now)
        allowed = [image for image in asked if identity.may_pull(image)]
        token = self._pull_tokens.give(identity, allowed, now)
        return TokenAnswer(identity, token.text, token.issued_at, token.expires_at - token.issued_at)

    def _credential(self, authorization: bytes | None, client: ClientAddress) -> Credential:
        server = self._settings.server
        if authorization is None:
            raise self._login_needed("A pull token is given to users who log in, and no credential was sent.")
        if not may_send_credentials(client.scheme, client.address, server):
            raise Denied(
                "The credential came over plain http, where everyone on the way can read it.",
                "Use https; if this proxy is behind one that ends TLS, list that in `server: trusted_proxies` and let "
                "it set X-Forwarded-Proto; or set `server: allow_plain_http: true`. And change the password.",
            )
        credential = read_basic(authorization)
        if credential is None:
            raise self._login_needed("The Authorization header is not a Basic credential.")
        return credential

    async def _identify(self, credential: Credential, groups: set[str], now: float) -> Identity:
        told = ""
        for source in self._sources:
            answer = await source.authenticate(credential, groups, now)
            if isinstance(answer, Identity):
                return answer
            told = told or answer.told
            if answer.final:
                break
        raise self._login_needed(told or "The user name or the password is wrong.")

    def _login_needed(self, cause: str) -> Unauthorized:
        return login_needed(self._settings.server.external_url, cause, basic_challenge())
