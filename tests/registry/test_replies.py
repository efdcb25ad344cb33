"""Answers on the wire: errors in the specification's form, headers that are header text, HEAD without a body."""

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.errors import NameUnknown, RegistryError, TooManyRequests, Unauthorized
from proxy_core.registry.replies import Reply, encoded, error_reply, json_reply, write

TOLD = RegistryError.__subclasses__()


class Client:
    """What a client gets."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert not self.status, "a second answer"
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]


async def written(reply: Reply, method: str = "GET") -> Client:
    client = Client()
    await write(reply, method, client.send)
    return client


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
async def test_every_error_has_the_form_of_the_specification(kind: type[RegistryError]) -> None:
    client = await written(error_reply(kind("What is wrong.", "What to do."), "request-7"))
    assert client.status == kind.status
    assert client.headers["content-type"] == "application/json"
    assert client.headers["docker-distribution-api-version"] == "registry/2.0"
    assert json.loads(client.body) == {
        "errors": [
            {
                "code": kind.code,
                "message": "What is wrong.",
                "detail": {"cause": "What is wrong.", "next": "What to do.", "request_id": "request-7"},
            }
        ]
    }


async def test_an_error_has_its_headers() -> None:
    client = await written(error_reply(TooManyRequests("x", headers={"Retry-After": "60", "RateLimit-Limit": "1"}), ""))
    assert (client.headers["retry-after"], client.headers["ratelimit-limit"]) == ("60", "1")
    challenge = 'Bearer realm="https://h/jwt/auth",service="dependency_proxy"'
    client = await written(error_reply(Unauthorized("x", headers={"WWW-Authenticate": challenge}), ""))
    assert client.headers["www-authenticate"] == challenge


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    for reply in (json_reply({"a": 1}), error_reply(NameUnknown("x"), "y")):
        get, head = await written(reply), await written(reply, "HEAD")
        assert head.headers == get.headers
        assert int(head.headers["content-length"]) == len(get.body) > 0
        assert head.body == b""


async def test_not_modified_has_no_length() -> None:
    client = await written(Reply(304, [(b"etag", b'"x"')]))
    assert client.headers == {"etag": '"x"'}


@given(st.text(max_size=50))
def test_whatever_text_a_header_is_made_of_it_is_header_text(text: str) -> None:
    ((name, value),) = encoded({"Warning": text})
    assert name == b"warning"
    assert all(0x20 <= byte <= 0x7E for byte in value)
    assert len(value) == len(text)


@given(st.text(max_size=50))
async def test_whatever_text_an_error_is_made_of_it_is_json(text: str) -> None:
    client = await written(error_reply(NameUnknown(text, text), text))
    assert json.loads(client.body)["errors"][0]["message"] == text
