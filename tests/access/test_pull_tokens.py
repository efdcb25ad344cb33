"""Pull tokens: what they hold, how long they live, and which are refused."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from proxy_core import tokens
from proxy_core.access.grants import Grant
from proxy_core.access.identity import Identity
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.access.scopes import MAX_SCOPE_TEXT, MAX_SCOPES, images_asked
from proxy_core.reference import Image, format_wire_name, parse_wire_name
from proxy_core.settings import Role
from proxy_core.tokens import MAX_TOKEN, Rejection
from tests.access.house import EXTERNAL_URL, KEY, NOW
from tests.access.names import images

TOKENS = PullTokens(KEY, issuer=EXTERNAL_URL, lifetime=900)
DEV = Identity("users", "dev", {"my-group": Role.GUEST})
ALPINE = parse_wire_name("my-group/dependency_proxy/containers/alpine")
APP = parse_wire_name("my-group/dependency_proxy/containers/quay.io/org/app")


def claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    read = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(read, dict)
    return read


def test_a_token_says_who_may_pull_what_and_until_when() -> None:
    read = claims(TOKENS.give(DEV, [ALPINE, APP], NOW + 0.7).text)
    assert len(str(read.pop("jti"))) == 32
    assert read == {
        "iss": EXTERNAL_URL,
        "aud": "dependency_proxy",
        "sub": "dev",
        "source": "users",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 900,
        "access": [
            {
                "type": "repository",
                "name": "my-group/dependency_proxy/containers/docker.io/library/alpine",
                "actions": ["pull"],
            },
            {"type": "repository", "name": "my-group/dependency_proxy/containers/quay.io/org/app", "actions": ["pull"]},
        ],
    }


def test_a_token_grants_what_it_says() -> None:
    grant = TOKENS.verify(TOKENS.give(DEV, [ALPINE, APP], NOW).text, NOW + 899)
    assert isinstance(grant, Grant)
    assert (grant.source, grant.subject, grant.credential_id) == ("users", "dev", "")
    assert grant.images == {ALPINE, APP}
    assert (grant.issued_at, grant.expires_at) == (NOW, NOW + 900)


def test_each_token_has_an_id_of_its_own() -> None:
    assert TOKENS.give(DEV, [], NOW).text != TOKENS.give(DEV, [], NOW).text


def test_a_token_never_outlives_the_credential_and_names_it() -> None:
    job = replace(DEV, expires_at=NOW + 100.5, credential_id="job-302")
    token = TOKENS.give(job, [ALPINE], NOW)
    assert token.expires_at == NOW + 100
    grant = TOKENS.verify(token.text, NOW)
    assert isinstance(grant, Grant)
    assert grant.credential_id == "job-302"
    assert TOKENS.give(replace(DEV, expires_at=NOW + 10_000), [], NOW).expires_at == NOW + 900


def test_the_text_of_a_token_does_not_show() -> None:
    token = TOKENS.give(DEV, [ALPINE], NOW)
    assert token.text not in repr(token)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TOKENS.give(DEV, [ALPINE], NOW - 900).text, Rejection.EXPIRED),
        (TOKENS.give(DEV, [ALPINE], NOW + 61).text, Rejection.NOT_YET),
        (PullTokens(KEY, issuer="https://other:443", lifetime=900).give(DEV, [], NOW).text, Rejection.ISSUER),
        (
            PullTokens(OKPKey.generate_key("Ed25519"), issuer=EXTERNAL_URL, lifetime=900).give(DEV, [], NOW).text,
            Rejection.KEY,
        ),
        (tokens.sign({"iss": EXTERNAL_URL, "aud": "runner-bridge", "exp": NOW + 9}, KEY), Rejection.AUDIENCE),
        (tokens.sign({"iss": EXTERNAL_URL, "aud": "dependency_proxy", "exp": NOW + 9}, KEY), Rejection.MALFORMED),
        ("", Rejection.MALFORMED),
    ],
    ids=["expired", "from the future", "of another proxy", "of another key", "of another use", "no access", "nothing"],
)
def test_tokens_that_are_refused(text: str, reason: Rejection) -> None:
    assert TOKENS.verify(text, NOW) is reason


def test_a_clock_that_was_set_back_a_little_does_not_end_a_token() -> None:
    assert isinstance(TOKENS.verify(TOKENS.give(DEV, [ALPINE], NOW + 60).text, NOW), Grant)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "repository",
        {"type": "repository", "name": format_wire_name(ALPINE), "actions": ["push"]},
        {"type": "repository", "name": format_wire_name(ALPINE), "actions": "pull"},
        {"type": "registry", "name": format_wire_name(ALPINE), "actions": ["pull"]},
        {"type": "repository", "name": "library/alpine", "actions": ["pull"]},
        {"type": "repository", "name": 5, "actions": ["pull"]},
    ],
)
def test_an_access_that_is_not_understood_grants_nothing(entry: object) -> None:
    signed = tokens.sign({**claims(TOKENS.give(DEV, [], NOW).text), "access": [entry]}, KEY)
    grant = TOKENS.verify(signed, NOW)
    assert isinstance(grant, Grant)
    assert grant.images == frozenset()


@given(st.lists(images, max_size=4))
def test_what_was_asked_for_is_what_is_granted(asked: list[Image]) -> None:
    wanted = images_asked([f"repository:{format_wire_name(image)}:pull" for image in asked], None)
    grant = TOKENS.verify(TOKENS.give(DEV, wanted, NOW).text, NOW)
    assert isinstance(grant, Grant)
    assert grant.images == set(wanted)


def test_the_largest_token_that_can_be_asked_for_is_accepted() -> None:
    length = MAX_SCOPE_TEXT // MAX_SCOPES - len("repository:g/dependency_proxy/containers/a/:pull") - 1
    group = "g" + "x" * (length - 230)
    names = [f"{group}/dependency_proxy/containers/{letter * 230}" for letter in "abcdefghijklmnop"]
    wanted = images_asked([f"repository:{name}:pull" for name in names], None)
    token = TOKENS.give(replace(DEV, subject="d" * 255), wanted, NOW)
    assert len(wanted) == MAX_SCOPES
    assert len(f"Bearer {token.text}") < MAX_TOKEN
    assert isinstance(TOKENS.verify(token.text, NOW), Grant)
