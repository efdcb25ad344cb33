"""The bearer flow, against a registry that asks for tokens."""

import asyncio
import json
import traceback
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.reference import Tag
from proxy_core.settings.model import Upstream as Settings
from proxy_core.upstream import FailureKind, Outside, UpstreamFailure
from proxy_core.upstream.bearer import Grant, Grants, read_token, same_site, token_url
from proxy_core.upstream.challenge import Challenge
from tests.rig.challenges import Basic, Bearer
from tests.rig.faults import Body, Delay, Drop, Fault, Silence, Status
from tests.rig.images import blob, image
from tests.rig.upstream import Upstream
from tests.upstream.rooms import (
    ALPINE,
    HASTY,
    AsyncSwitchboard,
    Names,
    Seen,
    asking,
    digest_of,
    fetch,
    filling,
    outside,
    told,
    until,
)

LATEST = Tag("latest")
ACCOUNT: dict[str, Any] = {"username": "robot", "password": "open-sesame"}


def registry(challenge: Bearer | Basic) -> Upstream:
    upstream = Upstream(challenge=challenge)
    upstream.add(ALPINE, image(), "latest", *(f"v{n}" for n in range(20)))
    upstream.add("library/busybox", image(), "latest")
    return upstream


@pytest.fixture
def bearer() -> Bearer:
    return Bearer()


@pytest.fixture
def rig(bearer: Bearer) -> Iterator[Upstream]:
    with registry(bearer) as upstream:
        yield upstream


async def refused(rig: Upstream, **more: Any) -> UpstreamFailure:
    async with asking(rig.url, **more) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    return caught.value


async def test_a_challenge_is_met_with_a_token_to_pull_this_repository(rig: Upstream, seen: Seen) -> None:
    async with asking(rig.url, seen) as client:
        await client.head_manifest(ALPINE, LATEST)
    assert seen.requests == [("manifest_head", "4xx"), ("token", "2xx"), ("manifest_head", "2xx")]
    (asked,) = rig.asked("GET", "token")
    assert asked.query == {"scope": [f"repository:{ALPINE}:pull"], "service": ["registry.rig"]}
    assert asked.header("Authorization") is None


@pytest.mark.parametrize("fields", [("token",), ("access_token",), ("token", "access_token")])
async def test_both_names_of_a_token(bearer: Bearer, rig: Upstream, fields: tuple[str, ...]) -> None:
    bearer.fields = fields
    async with asking(rig.url) as client:
        await client.get_manifest(ALPINE, LATEST)


async def test_a_token_is_kept_for_its_repository(rig: Upstream) -> None:
    async with asking(rig.url) as client:
        await client.head_manifest(ALPINE, LATEST)
        await client.get_manifest(ALPINE, LATEST)
        assert rig.count("GET", "token") == 1
        await client.get_manifest("library/busybox", LATEST)
        assert rig.count("GET", "token") == 2


async def test_fills_use_the_token_that_manifests_brought(rig: Upstream) -> None:
    layer = blob(b"layer")
    rig.add(ALPINE, layer)
    async with asking(rig.url) as client:
        await client.get_manifest(ALPINE, LATEST)
        assert await asyncio.to_thread(fetch, client, digest_of(layer)) == b"layer"
    assert rig.count("GET", "token") == 1


def test_a_fill_asks_for_a_token_itself(rig: Upstream) -> None:
    layer = blob(b"layer")
    rig.add(ALPINE, layer)
    with filling(rig.url) as client:
        assert fetch(client, digest_of(layer)) == b"layer"
        assert fetch(client, digest_of(layer)) == b"layer"
    assert rig.count("GET", "token") == 1


async def test_a_token_is_not_used_up_to_its_last_second(bearer: Bearer, rig: Upstream) -> None:
    now = 1000.0
    bearer.expires_in = None  # not told: 60 seconds
    async with asking(rig.url, world=outside(clock=lambda: now)) as client:
        await client.head_manifest(ALPINE, LATEST)
        now += 49
        await client.head_manifest(ALPINE, LATEST)
        assert rig.count("GET", "token") == 1
        now += 2
        await client.head_manifest(ALPINE, LATEST)
        assert rig.count("GET", "token") == 2


async def test_a_token_that_is_refused_early_is_renewed_once(bearer: Bearer, rig: Upstream, seen: Seen) -> None:
    async with asking(rig.url, seen) as client:
        await client.head_manifest(ALPINE, LATEST)
        bearer.expire()
        seen.requests.clear()
        await client.head_manifest(ALPINE, LATEST)
    assert seen.requests == [("manifest_head", "4xx"), ("token", "2xx"), ("manifest_head", "2xx")]


async def test_a_new_token_that_does_not_help_is_the_accounts_trouble(rig: Upstream, seen: Seen) -> None:
    rig.fault("manifests/*", Status(401))
    async with asking(rig.url, seen) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.ACCOUNT, "status_401")
    assert len(seen.requests) == 3


async def test_many_askers_share_one_token_request(rig: Upstream) -> None:
    rig.fault("token", Delay(0.3))
    async with asking(rig.url) as client:
        await asyncio.gather(*(client.head_manifest(ALPINE, Tag(f"v{n}")) for n in range(20)))
    assert rig.count("GET", "token") == 1


async def test_the_shared_request_outlives_the_one_who_began_it(rig: Upstream) -> None:
    rig.fault("token", Delay(1.0))
    async with asking(rig.url) as client:
        first = asyncio.create_task(client.head_manifest(ALPINE, LATEST))
        await until(lambda: rig.count("GET", "token"))
        second = asyncio.create_task(client.head_manifest(ALPINE, Tag("v1")))
        await until(lambda: rig.count("HEAD") == 2)
        first.cancel()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
    assert rig.count("GET", "token") == 1


async def test_a_client_may_close_while_a_token_is_awaited(rig: Upstream) -> None:
    rig.fault("token", Silence())
    async with asking(rig.url) as client:
        asker = asyncio.create_task(client.head_manifest(ALPINE, LATEST))
        await until(lambda: rig.count("GET", "token"))
    with pytest.raises((asyncio.CancelledError, UpstreamFailure)):
        await asker


# Accounts


async def test_the_account_goes_to_the_token_endpoint_and_nowhere_else(bearer: Bearer, rig: Upstream) -> None:
    bearer.username, bearer.password = "robot", "open-sesame"
    async with asking(rig.url, **ACCOUNT) as client:
        await client.get_manifest(ALPINE, LATEST)
    (asked,) = rig.asked("GET", "token")
    assert b64decode((asked.header("Authorization") or "").removeprefix("Basic ")) == b"robot:open-sesame"
    for request in rig.asked("GET", "manifests/*"):
        assert not (request.header("Authorization") or "").startswith("Basic")


@pytest.mark.parametrize("account", [{}, {"username": "robot", "password": "wrong"}])
async def test_refused_credentials(bearer: Bearer, rig: Upstream, account: dict[str, Any]) -> None:
    bearer.username, bearer.password = "robot", "open-sesame"
    failure = await refused(rig, **account)
    assert (failure.kind, failure.reason, failure.status) == (FailureKind.ACCOUNT, "token_status_401", 401)
    assert "password_file" in failure.fix
    assert "wrong" not in told(failure)


async def test_basic_is_sent_where_it_is_asked_for_and_remembered() -> None:
    with registry(Basic("robot", "open-sesame")) as rig:
        async with asking(rig.url, **ACCOUNT) as client:
            await client.get_manifest(ALPINE, LATEST)
            await client.get_manifest(ALPINE, LATEST)
        assert rig.count("GET", "manifests/*") == 3


@pytest.mark.parametrize("account", [{}, {"username": "robot", "password": "wrong"}])
async def test_basic_that_we_do_not_have(account: dict[str, Any], seen: Seen) -> None:
    with registry(Basic("robot", "open-sesame")) as rig:
        failure = await refused(rig, **account)
        assert (failure.kind, failure.reason) == (FailureKind.ACCOUNT, "status_401")
        assert rig.count() <= 2


# Token endpoints that fail


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (Status(403), FailureKind.ACCOUNT, "token_status_403"),
        (Status(404), FailureKind.ACCOUNT, "token_status_404"),
        (Status(429, retry_after="5"), FailureKind.LIMITED, "status_429"),
        (Status(500), FailureKind.OUTAGE, "token_status_500"),
        (Status(302), FailureKind.INVALID, "token_status_302"),
        (Drop(), FailureKind.OUTAGE, "broken"),
        (Silence(), FailureKind.OUTAGE, "timeout"),
        (Body(blob(b"<html>", "text/html")), FailureKind.INVALID, "bad_token"),
        (Body(blob(b"{}", "application/json")), FailureKind.INVALID, "bad_token"),
        (Body(blob(b'{"token": "a\\r\\nX: y"}', "application/json")), FailureKind.INVALID, "bad_token"),
        (Body(blob(b" " * 2_000_000, "application/json")), FailureKind.INVALID, "too_large"),
    ],
)
async def test_each_way_to_get_no_token(rig: Upstream, fault: Fault, kind: FailureKind, reason: str) -> None:
    rig.fault("token", fault)
    failure = await refused(rig, timeouts=HASTY)
    assert (failure.kind, failure.reason) == (kind, reason)
    assert failure.retry_after == (5 if kind is FailureKind.LIMITED else None)


# Where tokens may be asked for


def public(rig: Upstream, **names: str) -> Outside:
    """The rig as https://registry.example.com would be seen: under a public address."""
    ports = {"93.184.216.34": rig.port, "10.0.0.5": rig.port}
    return outside(
        resolver=Names({"registry.example.com": "93.184.216.34", **{n.replace("_", "."): a for n, a in names.items()}}),
        async_backend=AsyncSwitchboard(ports),
    )


async def test_a_realm_of_the_same_site_is_asked(bearer: Bearer, rig: Upstream) -> None:
    bearer.realm = "http://auth.example.com/token"
    async with asking("http://registry.example.com", world=public(rig, auth_example_com="93.184.216.34")) as client:
        await client.get_manifest(ALPINE, LATEST)
    assert rig.count("GET", "token") == 1


@pytest.mark.parametrize(
    ("realm", "reason"),
    [
        ("http://auth.example.org/token", "foreign_realm"),
        ("http://example.com.evil.net/token", "foreign_realm"),
        ("http://93.184.216.34/token", "foreign_realm"),
        ("http://localhost/token", "foreign_realm"),
        ("/token", "bad_realm"),
        ("ftp://registry.example.com/token", "bad_realm"),
        ("http://%xn--1/token", "bad_realm"),
    ],
)
async def test_another_realm_is_never_asked(bearer: Bearer, rig: Upstream, realm: str, reason: str) -> None:
    bearer.realm = realm
    async with asking("http://registry.example.com", world=public(rig), **ACCOUNT) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, reason)
    assert rig.count("GET", "token") == 0


async def test_a_private_realm_of_a_public_upstream_is_never_asked(bearer: Bearer, rig: Upstream) -> None:
    bearer.realm = "http://auth.example.com/token"
    async with asking("http://registry.example.com", world=public(rig, auth_example_com="10.0.0.5")) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.get_manifest(ALPINE, LATEST)
    assert caught.value.reason == "private_realm"
    assert rig.count("GET", "token") == 0


async def test_a_private_upstream_may_have_a_private_realm(bearer: Bearer, rig: Upstream) -> None:
    bearer.realm = "http://auth.example.com/token"
    world = outside(
        resolver=Names({"registry.example.com": "10.0.0.4", "auth.example.com": "10.0.0.5"}),
        async_backend=AsyncSwitchboard({"10.0.0.4": rig.port, "10.0.0.5": rig.port}),
    )
    async with asking("http://registry.example.com", world=world) as client:
        await client.get_manifest(ALPINE, LATEST)


def test_an_open_realm_of_an_encrypted_upstream_is_refused() -> None:
    challenge = Challenge("bearer", {"realm": "http://auth.docker.io/token"})
    with pytest.raises(UpstreamFailure) as caught:
        token_url(challenge, ALPINE, Settings("docker.io", "https://registry-1.docker.io"))
    assert caught.value.reason == "open_realm"


def test_docker_hubs_realm_keeps_its_own_query() -> None:
    challenge = Challenge("bearer", {"realm": "https://auth.docker.io/token?a=b", "service": "registry.docker.io"})
    url = token_url(challenge, ALPINE, Settings("docker.io", "https://registry-1.docker.io"))
    assert url.host == "auth.docker.io"
    assert dict(url.params) == {"a": "b", "service": "registry.docker.io", "scope": f"repository:{ALPINE}:pull"}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("registry-1.docker.io", "auth.docker.io", True),
        ("registry.gitlab.com", "gitlab.com", True),
        ("quay.io", "quay.io", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost", "localhost", True),
        ("registry", "registry", True),
        ("quay.io", "ghcr.io", False),
        ("a.co.uk", "b.co.uk", False),
        ("registry.a.co.uk", "auth.a.co.uk", True),
        ("registry.bmw.de", "auth.bmw.de", True),
        ("127.0.0.1", "1.0.0.1", False),
        ("10.0.0.1", "11.0.0.1", False),
        ("a.0x7f.1", "b.0x7f.1", False),
        ("[::1]", "::1", False),
        ("localhost", "a.localhost", False),
        ("a.localhost", "b.localhost", False),
        ("registry", "auth", False),
        ("docker.io.evil.com", "docker.io", False),
        ("io", "docker.io", False),
    ],
)
def test_same_site(first: str, second: str, same: bool) -> None:
    assert same_site(first, second) is same
    assert same_site(second, first) is same


# What is read and remembered


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_any_json_as_a_token_answer_gives_a_grant_or_a_failure(value: object) -> None:
    for answer in (value, {"token": value}, {"token": "t", "expires_in": value}):
        try:
            grant = read_token(json.dumps(answer).encode(), "docker.io")
        except UpstreamFailure:
            continue
        assert 0 < grant.lifetime <= 3600
        assert grant.authorization.isprintable()


@given(st.binary(max_size=100))
def test_any_bytes_as_a_token_answer_do_no_harm(content: bytes) -> None:
    with pytest.raises(UpstreamFailure):
        read_token(content, "docker.io")


def test_grants_are_bounded_and_the_least_used_goes() -> None:
    grants = Grants(lambda: 0.0, limit=2)
    grants.put("a", Grant("A"))
    grants.put("b", Grant("B"))
    assert grants.get("a") == "A"
    grants.put("c", Grant("C"))
    assert [grants.get(path) for path in "abc"] == ["A", None, "C"]


def test_only_the_grant_that_was_refused_is_forgotten() -> None:
    grants = Grants(lambda: 0.0)
    grants.put("a", Grant("new"))
    grants.forget("a", "old")
    assert grants.get("a") == "new"
    grants.forget("a", "new")
    assert grants.get("a") is None


async def test_no_secret_stands_in_a_failure_or_its_traceback(bearer: Bearer, rig: Upstream) -> None:
    bearer.username, bearer.password = "robot", "open-sesame"
    async with asking(rig.url, timeouts=HASTY, **ACCOUNT) as client:
        await client.get_manifest(ALPINE, LATEST)
        for fault in (Status(403), Drop(), Silence()):
            rig.heal()
            rig.fault("manifests/*", fault)
            with pytest.raises(UpstreamFailure) as caught:
                await client.get_manifest(ALPINE, Tag("v1"))
            text = told(caught.value) + "".join(traceback.format_exception(caught.value))
            assert "open-sesame" not in text
            assert all(token not in text for token in bearer._tokens)
