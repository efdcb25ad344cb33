"""The source ``users`` of the configuration."""

import asyncio
from dataclasses import replace

import pytest

from proxy_core.access.identity import Credential, Identity, Refusal
from proxy_core.access.passwords import PasswordChecks, hash_password
from proxy_core.access.users import Users
from proxy_core.errors import ConfigurationError, Unavailable
from proxy_core.settings import Role, User
from tests.access.conformance import Case, SourceConformance
from tests.access.house import DEV, NOW

BOSS = User("boss", hash_password("battery staple"), {"my-group": Role.OWNER, "my-group/team": Role.GUEST})


class TestUsersAsASource(SourceConformance):
    @pytest.fixture
    def case(self, checks: PasswordChecks) -> Case:
        return Case(
            source=Users({"dev": DEV, "boss": BOSS}, checks),
            credential=Credential("dev", "correct horse"),
            group="my-group",
            foreign="secret",
            wrong=Credential("dev", "battery staple"),
            unknown=Credential("nobody", "correct horse!"),
            afterwards=Users({"boss": BOSS}, checks),
        )


async def test_for_the_names_it_has_the_configuration_is_final(checks: PasswordChecks) -> None:
    answer = await Users({"dev": DEV}, checks).authenticate(Credential("dev", "wrong"), [], NOW)
    assert isinstance(answer, Refusal)
    assert answer.final


async def test_names_differ_in_case(checks: PasswordChecks) -> None:
    users = Users({"dev": DEV}, checks)
    assert isinstance(await users.authenticate(Credential("Dev", "correct horse"), [], NOW), Refusal)


async def test_a_role_of_a_group_above_is_not_lowered_further_down(checks: PasswordChecks) -> None:
    answer = await Users({"boss": BOSS}, checks).authenticate(
        Credential("boss", "battery staple"), ["my-group/team/x", "my-group", "my"], NOW
    )
    assert isinstance(answer, Identity)
    assert answer.roles == {"my-group/team/x": Role.OWNER, "my-group": Role.OWNER}


async def test_a_password_that_was_changed_by_a_restart_is_refused(checks: PasswordChecks) -> None:
    """The memory of right passwords is of a hash, not only of a name."""
    right = Credential("dev", "correct horse")
    assert isinstance(await Users({"dev": DEV}, checks).authenticate(right, [], NOW), Identity)
    changed = replace(DEV, password_hash=hash_password("another"))
    assert isinstance(await Users({"dev": changed}, checks).authenticate(right, [], NOW), Refusal)


async def test_unknown_names_go_the_way_of_known_ones() -> None:
    """They wait for the same check: with no room left for one, neither gets an answer."""
    checks = PasswordChecks(at_once=1, waiting=0)
    users = Users({"dev": DEV}, checks)
    try:
        first = asyncio.create_task(users.authenticate(Credential("dev", "wrong"), [], NOW))
        await asyncio.sleep(0)
        for name in ("dev", "nobody"):
            with pytest.raises(Unavailable):
                await users.authenticate(Credential(name, "another"), [], NOW)
        await asyncio.wait_for(first, 30)
    finally:
        checks.close()


def test_a_hash_of_another_kind_stops_the_start(checks: PasswordChecks) -> None:
    bcrypt = User("old", "$2b$12$KIXIDtrmJ9qS0yq8a0u0tO", {})
    with pytest.raises(ConfigurationError, match=r"users: old: password_hash: .* users hash-password") as caught:
        Users({"dev": DEV, "old": bcrypt}, checks)
    assert "$2b$" not in str(caught.value)


async def test_without_users_everybody_is_unknown(checks: PasswordChecks) -> None:
    answer = await Users({}, checks).authenticate(Credential("dev", "x"), [], NOW)
    assert isinstance(answer, Refusal)
    assert not answer.final
