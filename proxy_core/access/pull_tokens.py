"""Pull tokens: what ``/jwt/auth`` gives and the gate reads.

A token holds who someone is, by which source, and the images that he may pull; never the credential he showed (GitLab's
own tokens hold it in clear). Claims as in docker's token specification, with ours beside them::

    iss  external_url        sub     the holder            access      [{"type", "name", "actions"}]
    aud  dependency_proxy    jti     a random id           source      who vouched for the holder
    iat, nbf, exp            credential  the id by which his credential can be revoked, if it has one
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from proxy_core import tokens
from proxy_core.access.challenges import SERVICE
from proxy_core.access.grants import Grant
from proxy_core.access.identity import Identity
from proxy_core.access.scopes import wire_name
from proxy_core.reference import Image, format_wire_name

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

# Our own clock, set back after a token was given, must not end it. A token's end has no leeway: its length was told.
_LEEWAY: Final = 60.0


@dataclass(frozen=True, slots=True)
class PullToken:
    """A token as it was given."""

    text: str = field(repr=False)  # a secret while it lives
    issued_at: int  # seconds since the epoch
    expires_at: int


class PullTokens:
    """Gives and verifies pull tokens, under one key for all workers, which outlives restarts."""

    def __init__(self, key: "OKPKey", *, issuer: str, lifetime: float) -> None:
        """
        :param key: of :func:`proxy_core.tokens.load_or_create_signing_key`.
        :param issuer: the external URL: tokens of another proxy count for nothing here.
        :param lifetime: seconds; longer than any pull, since clients do not ask for a token in the middle of one.
        """
        self._key = key
        self._ring = tokens.key_ring([key])
        self._issuer = issuer
        self._lifetime = lifetime

    def give(self, identity: Identity, images: Iterable[Image], now: float) -> PullToken:
        """A token for these images, which must have been allowed; it never outlives the identity."""
        issued_at = int(now)
        ends = now + self._lifetime if identity.expires_at is None else min(now + self._lifetime, identity.expires_at)
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": SERVICE,
            "sub": identity.subject,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": int(ends),
            "jti": secrets.token_hex(16),
            "source": identity.source,
            "access": [
                {"type": "repository", "name": format_wire_name(image), "actions": ["pull"]} for image in images
            ],
        }
        if identity.credential_id:
            claims["credential"] = identity.credential_id
        return PullToken(tokens.sign(claims, self._key), issued_at, int(ends))

    def verify(self, token: str, now: float) -> Grant | tokens.Rejection:
        """What a token grants, or why it is not accepted."""
        claims = tokens.verify(token, self._ring, issuer=self._issuer, audience=SERVICE, now=now, leeway=_LEEWAY)
        if isinstance(claims, tokens.Rejection):
            return claims
        match claims:
            case {
                "sub": str(subject),
                "source": str(source),
                "jti": str(token_id),
                "iat": int(issued_at),
                "exp": int(expires_at),
                "access": list(access),
            }:
                images = frozenset(image for entry in access if (image := _image_of(entry)) is not None)
                credential_id = claims.get("credential", "")
                return Grant(source, subject, images, issued_at, expires_at, token_id, str(credential_id))
        return tokens.Rejection.MALFORMED


def _image_of(entry: object) -> Image | None:
    match entry:
        case {"type": "repository", "name": str(name), "actions": list(actions)} if "pull" in actions:
            return wire_name(name, None)
    return None
