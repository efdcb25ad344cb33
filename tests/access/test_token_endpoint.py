"""``GET /jwt/auth``: who gets a token, for what, and what the others read."""

from base64 import b64encode

import pytest

from proxy_core.access.client_address import client_of
from proxy_core.access.grants import Grant
from proxy_core.access.passwords import PasswordChecks
from proxy_core.errors import Denied, Unauthorized, Unsupported
from proxy_core.reference import parse_wire_name
from proxy_core.settings import Server
from tests.access.house import EXTERNAL_URL, NOW, House, basic, scope, settings
from tests.access.tickets import Ticket, Tickets

PASSWORD = "correct horse"


def granted(house: House, token: str) -> set[str]:
    grant = house.pull_tokens.verify(token, NOW)
    assert isinstance(grant, Grant)
    return {str(image) for image in grant.images}


async def test_a_login_gets_a_token_in_the_form_that_clients_know(house: House) -> None:
    answer = await house.login(scope("my-group"))
    assert answer.document() == {
        "token": answer.token,
        "access_token": answer.token,
        "expires_in": 900,
        "issued_at": "2026-09-21T14:13:20Z",
    }
    assert answer.identity.subject == "dev"
    assert answer.token not in repr(answer)


async def test_docker_login_asks_for_no_image_and_gets_a_token(house: House) -> None:
    assert granted(house, (await house.login()).token) == set()


async def test_of_what_is_asked_only_what_a_role_allows_is_in_the_token(house: House) -> None:
    """No error here: clients would not show it. The cause is told at the pull."""
    asked = [scope("my-group"), scope("secret"), scope("my-group/team", "quay.io/org/app"), scope("absent")]
    for scopes in (asked, [" ".join(asked)]):
        answer = await house.login(*scopes)
        assert granted(house, answer.token) == {
            "my-group: docker.io/library/alpine",
            "my-group/team: quay.io/org/app",
        }


async def test_the_doors_of_the_mirrors_have_names_without_a_group(checks: PasswordChecks) -> None:
    answer = await House(settings(mirror="my-group"), checks).login("repository:library/alpine:pull")
    grant = House(settings(mirror="secret"), checks).pull_tokens.verify(answer.token, NOW)
    assert isinstance(grant, Grant)  # the token says whose image it is, whatever the mirror's group is later
    assert grant.images == {parse_wire_name("my-group/dependency_proxy/containers/alpine")}


@pytest.mark.parametrize("service", [None, "", "container_registry", "Dependency_Proxy"])
async def test_another_service_is_not_known(house: House, service: str | None) -> None:
    with pytest.raises(Unsupported, match="service=dependency_proxy") as caught:
        await house.login(service=service)
    assert (caught.value.status, caught.value.code) == (404, "UNSUPPORTED")


async def test_without_a_credential_one_is_told_to_log_in_and_where(house: House) -> None:
    with pytest.raises(Unauthorized, match=r"docker login proxy\.example\.com:443 ") as caught:
        await house.login(scope("my-group"), authorization=None)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"].startswith('Basic realm="')


async def test_a_wrong_password_and_an_unknown_name_read_the_same(house: House) -> None:
    texts = set()
    for name, password in [("dev", "wrong"), ("nobody", "wrong"), ("nobody", PASSWORD), ("", ""), ("dev", "x" * 9000)]:
        with pytest.raises(Unauthorized, match="The user name or the password is wrong") as caught:
            await house.login(authorization=basic(name, password))
        texts.add((str(caught.value), *caught.value.headers.items()))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "header",
    [b"", b"Basic", b"Basic !!!", b"Bearer abc", b"Basic " + b64encode(b"nocolon"), b"Basic " + b"a" * 40_000],
    ids=lambda header: repr(header[:20]),
)
async def test_a_header_that_is_no_basic_credential_is_refused(house: House, header: bytes) -> None:
    with pytest.raises(Unauthorized, match="not a Basic credential"):
        await house.login(authorization=header)


async def test_no_refusal_repeats_what_was_sent(house: House) -> None:
    for header in (basic("dev", "s3cr3t-s3cr3t"), b"Bearer s3cr3t-s3cr3t"):
        with pytest.raises(Unauthorized) as caught:
            await house.login(authorization=header)
        assert "s3cr3t" not in str(caught.value) + str(caught.value.headers)


async def test_too_many_scopes_are_a_bad_request(house: House) -> None:
    with pytest.raises(Unsupported) as caught:
        await house.login(*[scope("my-group", f"image{n}") for n in range(17)])
    assert caught.value.status == 400


async def test_a_password_over_plain_http_is_refused_even_if_it_is_right(house: House) -> None:
    for password in (PASSWORD, "wrong"):
        with pytest.raises(Denied, match=r"plain http.*allow_plain_http.*change the password"):
            await house.login(authorization=basic("dev", password), client=client_of("192.0.2.7", "http", [], []))


async def test_plain_http_is_fine_on_this_machine_or_where_it_is_allowed(checks: PasswordChecks) -> None:
    await House(settings(), checks).login(client=client_of("127.0.0.1", "http", [], []))
    open_server = Server(external_url=EXTERNAL_URL, allow_plain_http=True)
    await House(settings(server=open_server), checks).login(client=client_of("192.0.2.7", "http", [], []))


async def test_who_sends_no_credential_over_plain_http_is_told_to_log_in(house: House) -> None:
    with pytest.raises(Unauthorized):
        await house.login(authorization=None, client=client_of("192.0.2.7", "http", [], []))


class TestSeveralSources:
    """``users`` first, then tickets: the next is asked while none has said the last word."""

    @pytest.fixture
    def tickets(self) -> Tickets:
        groups = frozenset({"secret"})
        return Tickets(
            {
                "ticket-1": Ticket("1", "ann", groups, NOW + 100),
                "ticket-2": Ticket("2", "dev", groups, NOW + 100),
                "ticket-3": Ticket("3", "old", groups, NOW - 100),
            }
        )

    @pytest.fixture
    def house(self, checks: PasswordChecks, tickets: Tickets) -> House:
        return House(settings(), checks, more_sources=[tickets])

    async def test_a_name_that_the_first_does_not_know_is_the_seconds(self, house: House) -> None:
        answer = await house.login(scope("secret"), scope("my-group"), authorization=basic("ann", "ticket-1"))
        assert answer.identity.source == "tickets"
        assert granted(house, answer.token) == {"secret: docker.io/library/alpine"}

    async def test_a_token_lives_no_longer_than_the_credential(self, house: House) -> None:
        assert (await house.login(authorization=basic("ann", "ticket-1"))).expires_in == 100

    async def test_for_names_of_the_configuration_no_other_is_asked(self, house: House) -> None:
        with pytest.raises(Unauthorized, match="The user name or the password is wrong"):
            await house.login(authorization=basic("dev", "ticket-2"))
        assert (await house.login()).identity.source == "users"

    async def test_the_holder_of_a_dead_credential_is_told_which_it_is(self, house: House, tickets: Tickets) -> None:
        with pytest.raises(Unauthorized, match=r"Ticket 3 has expired\."):
            await house.login(authorization=basic("old", "ticket-3"))
        tickets.torn.add("1")
        with pytest.raises(Unauthorized, match=r"Ticket 1 was revoked\."):
            await house.login(authorization=basic("ann", "ticket-1"))
