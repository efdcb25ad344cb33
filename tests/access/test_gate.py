"""The gate before each pull: who is admitted, and what the others read."""

import pytest
from joserfc.jwk import OKPKey

from proxy_core import tokens
from proxy_core.access.gate import Gate
from proxy_core.access.grants import Grant
from proxy_core.access.identity import Identity
from proxy_core.access.passwords import PasswordChecks
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.errors import Denied, NameUnknown, RegistryError, Unauthorized
from proxy_core.reference import parse_wire_name
from proxy_core.settings import Role, Server
from tests.access.house import EXTERNAL_URL, KEY, NOW, House, basic, bearer, scope, settings
from tests.access.tickets import Ticket, Tickets

CHALLENGE = 'Bearer realm="https://proxy.example.com:443/jwt/auth",service="dependency_proxy"'
ALPINE = "my-group/dependency_proxy/containers/alpine"


def admit(house: House, authorization: bytes | None, name: str = ALPINE, now: float = NOW) -> Grant:
    return house.gate.admit(authorization, parse_wire_name(name), wire_name=name, now=now)


def challenge_of(house: House, authorization: bytes | None, name: str = ALPINE, now: float = NOW) -> str:
    with pytest.raises(Unauthorized) as caught:
        admit(house, authorization, name, now)
    return caught.value.headers["WWW-Authenticate"]


async def test_whoever_logged_in_for_an_image_may_pull_it_until_the_token_ends(house: House) -> None:
    token = bearer(await house.login(scope("my-group")))
    for now in (NOW, NOW, NOW + 899.9):
        grant = admit(house, token, now=now)
        assert (grant.source, grant.subject) == ("users", "dev")
    assert challenge_of(house, token, now=NOW + 900).endswith('error="invalid_token"')


async def test_all_names_of_an_image_are_one(house: House) -> None:
    token = bearer(await house.login(scope("my-group", "library/alpine")))
    for name in ("alpine", "library/alpine", "docker.io/alpine"):
        assert admit(house, token, f"my-group/dependency_proxy/containers/{name}")


async def test_the_scheme_has_no_case_and_the_token_no_spaces(house: House) -> None:
    token = (await house.login(scope("my-group"))).token.encode()
    assert admit(house, b"bearer   " + token + b" ")


async def test_other_workers_and_the_next_start_accept_the_same_token(house: House, checks: PasswordChecks) -> None:
    token = bearer(await house.login(scope("my-group")))
    assert admit(House(settings(), checks), token)


def test_without_a_token_the_challenge_names_the_image(house: House) -> None:
    assert challenge_of(house, None) == f'{CHALLENGE},scope="repository:{ALPINE}:pull"'


@pytest.mark.parametrize("header", [b"", b"Basic ZGV2Ong=", b"Token abc", basic("dev", "correct horse")])
def test_another_scheme_is_as_good_as_none(house: House, header: bytes) -> None:
    assert challenge_of(house, header) == f'{CHALLENGE},scope="repository:{ALPINE}:pull"'


@pytest.mark.parametrize(
    "header",
    [b"Bearer", b"Bearer ", b"Bearer x", b"Bearer \xff.\xfe.x", b"Bearer " + b"x" * 10**6],
    ids=lambda header: repr(header[:20]),
)
def test_what_is_no_token_is_an_invalid_token(house: House, header: bytes) -> None:
    assert challenge_of(house, header) == f'{CHALLENGE},scope="repository:{ALPINE}:pull",error="invalid_token"'


async def test_the_reason_for_a_refusal_is_told_and_the_token_is_not(house: House, checks: PasswordChecks) -> None:
    token = bearer(await house.login(scope("my-group")))
    foreign = House(settings(), checks, key=OKPKey.generate_key("Ed25519"))
    moved = House(settings(server=Server(external_url="https://moved.example.com:443")), checks)
    header, _, signature = token.split(b".")
    other_payload = bearer(await house.login(scope("my-group", "busybox"))).split(b".")[1]
    other_use = tokens.sign({"iss": EXTERNAL_URL, "aud": "runner-bridge", "exp": NOW + 900}, KEY)
    for where, shown, reason in [
        (house, token[:-4] + b"AAAA", "its signature is wrong"),
        (house, header + b"." + other_payload + b"." + signature, "its signature is wrong"),
        (house, header + b"." + other_payload + b".", "its signature is wrong"),
        (house, f"Bearer {other_use}".encode(), "it is meant for another audience"),
        (foreign, token, "it is signed with a key that is not known here"),
        (moved, token, "it comes from another issuer"),
    ]:
        with pytest.raises(Unauthorized, match=f"not accepted: {reason}.*docker login") as caught:
            admit(where, shown)
        assert shown.decode() not in str(caught.value)


async def test_a_signature_is_verified_once(house: House) -> None:
    class Counting(PullTokens):
        count = 0

        def verify(self, token: str, now: float) -> Grant | tokens.Rejection:
            self.count += 1
            return super().verify(token, now)

    counting = Counting(KEY, issuer=EXTERNAL_URL, lifetime=900)
    gate = Gate([Tickets({})], counting, settings())
    image = parse_wire_name(ALPINE)
    holder = Identity("tickets", "ann", {"my-group": Role.GUEST})
    token = b"Bearer " + counting.give(holder, [image], NOW).text.encode()
    for _ in range(5):
        gate.admit(token, image, wire_name=ALPINE, now=NOW)
        gate.ping(token, NOW)
    assert counting.count == 1


async def test_a_refused_token_is_not_remembered_as_good(house: House) -> None:
    token = bearer(await house.login(scope("my-group")))
    bad = token[:-4] + b"AAAA"
    for _ in range(2):
        assert "invalid_token" in challenge_of(house, bad)
        assert admit(house, token)


async def test_a_token_for_another_image_lacks_the_scope(house: House) -> None:
    token = bearer(await house.login(scope("my-group", "busybox")))
    expected = f'{CHALLENGE},scope="repository:{ALPINE}:pull",error="insufficient_scope"'
    assert challenge_of(house, token) == expected


async def test_absent_disabled_and_foreign_groups_look_alike_to_a_stranger(house: House) -> None:
    told = set()
    for group in ("absent", "secret", "secret-off", "secret/below", "my-groupx", "my"):
        token = bearer(await house.login(scope(group)))
        with pytest.raises(NameUnknown) as caught:
            admit(house, token, f"{group}/dependency_proxy/containers/alpine")
        error = caught.value
        told.add((error.status, error.code, error.cause.replace(group, "GROUP"), error.fix, *error.headers))
    assert len(told) == 1
    (status, code, cause, _), *_ = told
    assert (status, code) == (404, "NAME_UNKNOWN")
    assert cause == "The group GROUP has no Dependency Proxy here, or you have no role in it."


async def test_a_member_learns_that_his_group_is_switched_off(house: House) -> None:
    name = "my-group/off/below/dependency_proxy/containers/alpine"
    token = bearer(await house.login(scope("my-group/off/below")))
    with pytest.raises(Denied, match=r"my-group/off/below is switched off.*enabled: true. for my-group/off ") as caught:
        admit(house, token, name)
    assert caught.value.status == 403


async def test_a_member_learns_that_his_group_is_not_served(house: House) -> None:
    token = bearer(await house.login(scope("unserved")))
    with pytest.raises(NameUnknown, match="You have a role in the group unserved, but"):
        admit(house, token, "unserved/dependency_proxy/containers/alpine")


async def test_a_user_who_was_removed_by_a_restart_is_refused_although_his_token_lives(
    house: House, checks: PasswordChecks
) -> None:
    token = bearer(await house.login(scope("my-group")))
    after = House(settings(users={}), checks)
    with pytest.raises(Unauthorized, match="its user is no longer configured here") as caught:
        admit(after, token)
    assert 'error="invalid_token"' in caught.value.headers["WWW-Authenticate"]
    with pytest.raises(Unauthorized):
        after.gate.ping(token, NOW)


async def test_a_source_that_was_removed_takes_its_tokens_with_it(checks: PasswordChecks) -> None:
    tickets = Tickets({"t": Ticket("1", "ann", frozenset({"my-group"}), NOW + 100)})
    token = bearer(
        await House(settings(), checks, more_sources=[tickets]).login(
            scope("my-group"), authorization=basic("ann", "t")
        )
    )
    with pytest.raises(Unauthorized, match="no longer configured here"):
        admit(House(settings(), checks), token)


async def test_a_revoked_credential_ends_the_tokens_given_for_it_at_once(checks: PasswordChecks) -> None:
    tickets = Tickets({"t": Ticket("1", "ann", frozenset({"my-group"}), NOW + 100)})
    house = House(settings(), checks, more_sources=[tickets])
    token = bearer(await house.login(scope("my-group"), authorization=basic("ann", "t")))
    assert admit(house, token)
    tickets.torn.add("1")
    with pytest.raises(Unauthorized, match="ticket 1 was revoked"):
        admit(house, token)


class TestPing:
    async def test_a_good_token_is_enough_whatever_it_is_for(self, house: House) -> None:
        token = bearer(await house.login())
        assert house.gate.ping(token, NOW).subject == "dev"
        assert house.gate.ping(token, NOW).subject == "dev"

    @pytest.mark.parametrize("header", [None, basic("dev", "correct horse")])
    def test_otherwise_there_is_a_challenge_without_scope(self, house: House, header: bytes | None) -> None:
        with pytest.raises(Unauthorized, match=r"docker login proxy\.example\.com:443") as caught:
            house.gate.ping(header, NOW)
        assert caught.value.headers["WWW-Authenticate"] == CHALLENGE

    async def test_an_expired_token_is_told_so(self, house: House) -> None:
        token = bearer(await house.login())
        with pytest.raises(Unauthorized, match="it has expired") as caught:
            house.gate.ping(token, NOW + 900)
        assert caught.value.headers["WWW-Authenticate"] == f'{CHALLENGE},error="invalid_token"'


async def test_every_refusal_names_a_cause_and_a_next_step(house: House) -> None:
    token = bearer(await house.login(scope("my-group", "busybox"), scope("my-group/off")))
    for header, name in [
        (None, ALPINE),
        (b"Bearer x", ALPINE),
        (token, ALPINE),
        (token, "secret/dependency_proxy/containers/alpine"),
        (token, "my-group/off/dependency_proxy/containers/alpine"),
    ]:
        with pytest.raises(RegistryError) as caught:
            admit(house, header, name)
        assert caught.value.cause.endswith(".")
        assert len(caught.value.fix) > 20
