"""argon2id off the loop: right, wrong, odd; bounded; the same check never twice at once; a yes remembered.

Where a test wants the only thread busy, it starts a check, lets the loop turn once, and then awaits nothing that lets
it turn again: so the check can not end in between, however slow or fast the machine is.
"""

import asyncio
from collections.abc import Awaitable

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_core.access.passwords import MAX_PASSWORD, PasswordChecks, decoy_of, hash_password
from proxy_core.errors import ConfigurationError, Unavailable
from tests.access.house import DEV_HASH, NOW


async def soon(awaitable: Awaitable[bool]) -> bool:
    return await asyncio.wait_for(awaitable, 30)


def test_a_hash_is_argon2id_and_salted() -> None:
    first, second = hash_password("pässwörd"), hash_password("pässwörd")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert PasswordHasher().verify(first, "pässwörd")


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD + 1), "é" * MAX_PASSWORD])
def test_a_password_that_could_never_log_in_is_not_hashed(password: str) -> None:
    with pytest.raises(ConfigurationError, match="empty or too long"):
        hash_password(password)


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_password_matches_its_hash_and_no_other(password: str) -> None:
    async def check() -> None:
        checks = PasswordChecks()
        try:
            password_hash = hash_password(password)
            assert await soon(checks.matches("dev", password, password_hash, NOW))
            assert not await soon(checks.matches("dev", password + " ", password_hash, NOW))
        finally:
            checks.close()

    asyncio.run(check())


async def test_hashes_of_other_tools_and_costs_are_fine(checks: PasswordChecks) -> None:
    costly = PasswordHasher(time_cost=1, memory_cost=64 * 1024, parallelism=4, salt_len=8, hash_len=16).hash("x")
    assert await soon(checks.matches("dev", "x", costly, NOW))
    assert not await soon(checks.matches("dev", "y", costly, NOW))


async def test_the_longest_password_matches_and_a_longer_one_is_not_looked_at(checks: PasswordChecks) -> None:
    longest = "x" * MAX_PASSWORD
    assert await soon(checks.matches("dev", longest, hash_password(longest), NOW))
    assert not await soon(checks.matches("dev", longest + "x", DEV_HASH, NOW))


def test_a_decoy_costs_the_same_and_has_the_same_form() -> None:
    for original in (DEV_HASH, PasswordHasher(time_cost=1, memory_cost=8192, salt_len=9, hash_len=20).hash("x")):
        decoy = decoy_of(original)
        assert extract_parameters(decoy) == extract_parameters(original)
        assert len(decoy) == len(original)
        assert decoy.split("$")[4:] != original.split("$")[4:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse",
        DEV_HASH.replace("argon2id", "argon2i"),
        DEV_HASH + "\n",
        DEV_HASH[:-1],
        DEV_HASH.rpartition("$")[0],
        DEV_HASH.replace("m=19456", "m=lots"),
    ],
    ids=["empty", "a password", "argon2i", "end of line", "cut", "no tag", "cost"],
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not one of argon2id"):
        decoy_of(text)


async def test_the_loop_goes_on_during_a_check(checks: PasswordChecks) -> None:
    slow = PasswordHasher(time_cost=20, memory_cost=64 * 1024, parallelism=1).hash("x")
    check = asyncio.ensure_future(checks.matches("dev", "y", slow, NOW))
    turns = 0
    while not check.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert await check is False
    assert turns > 2


async def test_what_does_not_fit_into_the_queue_is_told_to_come_again() -> None:
    checks = PasswordChecks(at_once=1, waiting=2)
    try:
        waiting = [asyncio.ensure_future(checks.matches("dev", f"wrong {n}", DEV_HASH, NOW)) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="Too many logins") as caught:
            await checks.matches("dev", "correct horse", DEV_HASH, NOW)
        assert caught.value.status == 503
        assert int(caught.value.headers["Retry-After"]) > 0
        assert not any([await soon(check) for check in waiting])
        assert await soon(checks.matches("dev", "correct horse", DEV_HASH, NOW))
    finally:
        checks.close()


async def test_a_hundred_logins_of_one_user_are_one_check() -> None:
    """With room for one check only, all get their answer."""
    checks = PasswordChecks(at_once=1, waiting=0)
    try:
        logins = [checks.matches("dev", "correct horse", DEV_HASH, NOW) for _ in range(100)]
        assert all(await asyncio.wait_for(asyncio.gather(*logins), 30))
    finally:
        checks.close()


async def test_who_leaves_does_not_take_the_check_from_others() -> None:
    checks = PasswordChecks(at_once=1, waiting=0)
    try:
        leaving, staying = (
            asyncio.ensure_future(checks.matches("dev", "correct horse", DEV_HASH, NOW)) for _ in range(2)
        )
        await asyncio.sleep(0)
        leaving.cancel()
        assert await soon(staying)
    finally:
        checks.close()


async def test_a_yes_is_remembered_for_a_minute_and_needs_no_check() -> None:
    checks = PasswordChecks(at_once=1, waiting=0, remember=60)
    try:
        assert await soon(checks.matches("dev", "correct horse", DEV_HASH, NOW))
        blocking = asyncio.ensure_future(checks.matches("dev", "wrong", DEV_HASH, NOW))
        await asyncio.sleep(0)
        assert await checks.matches("dev", "correct horse", DEV_HASH, NOW + 59)
        for username, password, now in [
            ("dev", "correct horse", NOW + 60),  # a minute is over
            ("dev", "correct horse", NOW - 1),  # the clock was set back
            ("dev", "correct horse ", NOW),
            ("other", "correct horse", NOW),
        ]:
            with pytest.raises(Unavailable):
                await checks.matches(username, password, DEV_HASH, now)
        await soon(blocking)
    finally:
        checks.close()


async def test_the_memory_is_bounded_and_drops_the_oldest() -> None:
    checks = PasswordChecks(at_once=1, waiting=0, max_remembered=2)
    try:
        for name in ("a", "b", "c"):
            assert await soon(checks.matches(name, "correct horse", DEV_HASH, NOW))
        blocking = asyncio.ensure_future(checks.matches("dev", "wrong", DEV_HASH, NOW))
        await asyncio.sleep(0)
        for name in ("b", "c"):
            assert await checks.matches(name, "correct horse", DEV_HASH, NOW)
        with pytest.raises(Unavailable):
            await checks.matches("a", "correct horse", DEV_HASH, NOW)
        await soon(blocking)
    finally:
        checks.close()


async def test_a_hash_that_can_not_be_computed_is_no_answer(checks: PasswordChecks) -> None:
    with pytest.raises(Unavailable, match="can not be checked"):
        await soon(checks.matches("dev", "x", DEV_HASH.replace("m=19456", "m=1"), NOW))
