"""Basic credentials as clients send them, and as they must not."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.access.basic import MAX_AUTHORIZATION, read_basic
from proxy_core.access.identity import Credential
from tests.access.house import basic

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(words.filter(lambda text: ":" not in text), words)
def test_what_a_client_sends_is_read(username: str, password: str) -> None:
    assert read_basic(basic(username, password)) == Credential(username, password)


def test_the_scheme_has_no_case() -> None:
    assert read_basic(b"bAsIc  " + b64encode(b"dev:x")) == Credential("dev", "x")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic " + b64encode(b"dev:x")[:-1],
        b"Basic " + b64encode(b"no colon"),
        b"Basic " + b64encode(b"dev:\xff\xfe"),
        b"Basic \xff\xfe",
        b"Bearer " + b64encode(b"dev:x"),
        b64encode(b"dev:x"),
        b"Basic " + b64encode(b"dev:" + b"x" * MAX_AUTHORIZATION),
    ],
    ids=lambda header: repr(header[:20]),
)
def test_what_is_no_basic_credential(header: bytes) -> None:
    assert read_basic(header) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_an_error(noise: bytes) -> None:
    read_basic(noise)
    read_basic(b"Basic " + noise)


def test_a_credential_shows_no_password() -> None:
    assert repr(Credential("dev", "s3cr3t")) == "Credential(username='dev')"
