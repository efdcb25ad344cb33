"""The source ``users``: names, argon2id hashes and roles of the configuration."""

import hmac
import secrets
from collections.abc import Collection, Mapping

from proxy_core.access.grants import Grant
from proxy_core.access.identity import Credential, Identity, Refusal
from proxy_core.access.passwords import PasswordChecks, decoy_of
from proxy_core.access.policy import role_in
from proxy_core.errors import ConfigurationError
from proxy_core.settings.model import Role, User


class Users:
    """The users of the configuration. For their names it is final; of other names it knows nothing.

    A name that is not a user's is checked all the same, against a decoy as costly as some user's hash (which, is
    fixed for the name by a keyed hash), so that the time of an answer does not tell who is a user.
    """

    name = "users"

    def __init__(self, users: Mapping[str, User], checks: PasswordChecks) -> None:
        """:raises ConfigurationError: a password hash is not one of argon2id."""
        self._users = dict(users)
        self._checks = checks
        self._decoys = [_decoy(user) for user in users.values()]
        self._key = secrets.token_bytes(32)

    async def authenticate(self, credential: Credential, groups: Collection[str], now: float) -> Identity | Refusal:
        """Who this is, by name and password.

        :raises Unavailable: too many logins wait for their check.
        """
        if not self._users:
            return Refusal("there are no users in the configuration")
        user = self._users.get(credential.username)
        password_hash = user.password_hash if user else self._decoy_for(credential.username)
        right = await self._checks.matches(credential.username, credential.password, password_hash, now)
        if user is None:
            return Refusal("there is no user of that name in the configuration")
        if not right:
            return Refusal("the password of a user of the configuration is wrong", final=True)
        held = {group: role_in(user.groups, group) for group in groups}
        return Identity(self.name, user.name, {group: role for group, role in held.items() if role is not None})

    def objection(self, grant: Grant) -> Refusal | None:
        """Whether the user is no longer in the configuration."""
        if grant.subject in self._users:
            return None
        return Refusal("the user is no longer in the configuration", told="its user is no longer configured here")

    def role(self, grant: Grant, group: str) -> Role | None:
        """The user's role by the configuration of now."""
        user = self._users.get(grant.subject)
        return None if user is None else role_in(user.groups, group)

    def _decoy_for(self, username: str) -> str:
        choice = hmac.digest(self._key, username.encode(), "sha256")
        return self._decoys[int.from_bytes(choice, "big") % len(self._decoys)]


def _decoy(user: User) -> str:
    try:
        return decoy_of(user.password_hash)
    except ConfigurationError as error:
        raise ConfigurationError(f"users: {user.name}: password_hash: {error.cause}", error.fix) from error
