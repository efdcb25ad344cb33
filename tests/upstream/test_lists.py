"""Tags and referrers: lists that come in pages."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_core.reference import Tag, parse_digest
from proxy_core.upstream import Bounds, FailureKind, UpstreamFailure
from proxy_core.upstream.listing import Listing, Page, fallback_tag
from tests.rig.faults import Body, Chunked, Fault, Silence, Status, WithHeaders
from tests.rig.images import OCI_INDEX, Image, artifact, blob, image, index, referrers_of
from tests.rig.upstream import Upstream
from tests.rig.wire import Answer, Request
from tests.upstream.rooms import ALPINE, HASTY, Seen, asking, outside

TAGS_URL = f"/v2/{ALPINE}/tags/list"


def paged(pages: dict[str, tuple[object, str | None]]) -> Fault:
    """Answers by the value of `?page=`: a body, and the Link that leads on. The first page is ''."""

    def fault(request: Request, answer: Answer) -> Answer:
        body, link = pages[request.query.get("page", [""])[0]]
        changed = Answer(200, (("Content-Type", OCI_INDEX),), json.dumps(body).encode())
        return changed if link is None else changed.with_header("Link", f'<{link}>; rel="next"')

    return fault


async def refused(rig: Upstream, fault: Fault) -> UpstreamFailure:
    rig.fault("tags/list", fault)
    async with asking(rig.url, timeouts=HASTY) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.tags(ALPINE)
    assert "tags of library/alpine" in caught.value.cause or caught.value.kind is FailureKind.OUTAGE
    return caught.value


# Tags


async def test_all_tags_come_sorted_bytewise(rig: Upstream, alpine: Image, seen: Seen) -> None:
    rig.add(ALPINE, alpine, "b", "B", "a", "10", "9", "_x")
    async with asking(rig.url, seen) as client:
        assert await client.tags(ALPINE) == ["10", "9", "B", "_x", "a", "b", "latest"]
    assert seen.requests == [("tags", "2xx")]


async def test_pages_are_put_together(rig: Upstream, alpine: Image) -> None:
    names = [f"v{n:02}" for n in range(25)]
    rig.add(ALPINE, alpine, *names)
    async with asking(rig.url, world=outside(bounds=Bounds(page=10))) as client:
        assert await client.tags(ALPINE) == ["latest", *names]
    assert rig.count("GET", "tags/list") == 3


@pytest.mark.parametrize("link", ["?page=2", TAGS_URL + "?page=2", "{url}" + TAGS_URL + "?page=2"])
async def test_links_of_every_form(rig: Upstream, link: str) -> None:
    rig.fault("tags/list", paged({"": ({"tags": ["a"]}, link.format(url=rig.url)), "2": ({"tags": ["a", "b"]}, None)}))
    async with asking(rig.url) as client:
        assert await client.tags(ALPINE) == ["a", "b"]


@pytest.mark.parametrize("body", [{"tags": None}, {"tags": []}, {"name": ALPINE}])
async def test_no_tags(rig: Upstream, body: object) -> None:
    rig.fault("tags/list", paged({"": (body, None)}))
    async with asking(rig.url) as client:
        assert await client.tags(ALPINE) == []


async def test_what_can_not_be_a_tag_is_left_out(rig: Upstream) -> None:
    rig.fault("tags/list", paged({"": ({"tags": ["ok", "no tag", "-x", "é", 7, None, "a" * 129, "sha256:x"]}, None)}))
    async with asking(rig.url) as client:
        assert await client.tags(ALPINE) == ["ok"]


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (Status(404, "NAME_UNKNOWN"), FailureKind.NOT_FOUND, "not_found"),
        (Status(503), FailureKind.OUTAGE, "status_503"),
        (Silence(), FailureKind.OUTAGE, "timeout"),
        (Body(blob(b"<html>", "text/html")), FailureKind.INVALID, "not_json"),
        (paged({"": ([], None)}), FailureKind.INVALID, "not_json"),
        (paged({"": ({"tags": "latest"}, None)}), FailureKind.INVALID, "bad_list"),
        (paged({"": ({"tags": []}, "")}), FailureKind.INVALID, "foreign_link"),
        (
            paged({"": ({"tags": []}, "https://elsewhere.example.com/v2/a/tags/list")}),
            FailureKind.INVALID,
            "foreign_link",
        ),
        (paged({"": ({"tags": []}, TAGS_URL + "?page="), "x": ({}, None)}), FailureKind.INVALID, "page_loop"),
        (
            paged({"": ({"tags": []}, "?page=2"), "2": ({"tags": []}, "?page=2")}),
            FailureKind.INVALID,
            "page_loop",
        ),
    ],
)
async def test_lists_that_can_not_be_used(rig: Upstream, fault: Fault, kind: FailureKind, reason: str) -> None:
    failure = await refused(rig, fault)
    assert (failure.kind, failure.reason) == (kind, reason)


async def test_pages_without_end(rig: Upstream) -> None:
    def endless(request: Request, answer: Answer) -> Answer:
        number = int(request.query.get("page", ["0"])[0]) + 1
        page = Answer(200, (), json.dumps({"tags": [f"v{number}"]}).encode())
        return page.with_header("Link", f'<?page={number}>; rel="next"')

    failure = await refused(rig, endless)
    assert (failure.kind, failure.reason) == (FailureKind.INVALID, "too_many_pages")
    assert rig.count() == Bounds().pages


async def test_pages_that_are_too_large_together(rig: Upstream) -> None:
    pages = paged({"": ({"tags": ["a" * 100] * 5}, "?page=2"), "2": ({"tags": ["b" * 100] * 5}, None)})
    rig.fault("tags/list", pages, Chunked())
    async with asking(rig.url, world=outside(bounds=Bounds(size=1000))) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.tags(ALPINE)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "too_large")


async def test_more_tags_than_are_taken(rig: Upstream, alpine: Image) -> None:
    rig.add(ALPINE, alpine, "a", "b")
    async with asking(rig.url, world=outside(bounds=Bounds(tags=2))) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.tags(ALPINE)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "too_large")


async def test_pages_that_take_too_long_together(rig: Upstream) -> None:
    rig.fault("tags/list", Silence())
    async with asking(rig.url, world=outside(bounds=Bounds(seconds=0.5))) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.tags(ALPINE)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.OUTAGE, "timeout")


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["tags", "manifests", "x"]), inner),
)


@given(json_values)
@settings(max_examples=200)
async def test_any_json_as_a_list_gives_tags_or_a_failure(value: object) -> None:
    async def fetch(url: httpx2.URL, limit: int) -> Page:
        return Page(httpx2.Response(200), json.dumps(value).encode())

    url = httpx2.URL("https://registry.example.com/")
    for ask in (
        Listing("docker.io", "tags", fetch, Bounds()).tags,
        Listing("docker.io", "referrers", fetch, Bounds()).index,
    ):
        question: Callable[[httpx2.URL], Any] = ask
        try:
            answer = await question(url)
        except UpstreamFailure:
            continue
        assert isinstance(answer, bytes) or all(re.fullmatch(r"[\w][\w.-]{0,127}", tag, re.ASCII) for tag in answer)


# Referrers


async def test_referrers_come_as_the_upstream_gave_them(rig: Upstream, alpine: Image) -> None:
    signature = artifact(alpine.manifest, annotations={"a": "b"})
    rig.add(ALPINE, signature)
    async with asking(rig.url) as client:
        listed = json.loads(await client.referrers(ALPINE, parse_digest(alpine.digest)))
    expected = referrers_of(alpine.manifest, signature).manifest.json()
    assert listed == expected
    (request,) = rig.requests
    assert request.header("Accept") == OCI_INDEX
    assert request.query == {}


async def test_all_pages_of_referrers(rig: Upstream, alpine: Image) -> None:
    entries = [{"mediaType": "m", "digest": f"sha256:{n}", "size": n, "odd": {"kept": True}} for n in range(3)]
    rig.fault(
        "referrers/*",
        paged({"": ({"manifests": entries[:2]}, "?page=2"), "2": ({"manifests": entries[2:]}, None)}),
    )
    async with asking(rig.url) as client:
        listed = json.loads(await client.referrers(ALPINE, parse_digest(alpine.digest)))
    assert listed == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_without_the_api_the_fallback_tag_lists_them(rig: Upstream, alpine: Image, status: int) -> None:
    signature = artifact(alpine.manifest)
    rig.add(ALPINE, referrers_of(alpine.manifest, signature), str(fallback_tag(parse_digest(alpine.digest))))
    rig.fault("referrers/*", Status(status))
    async with asking(rig.url) as client:
        listed = json.loads(await client.referrers(ALPINE, parse_digest(alpine.digest)))
    assert [entry["digest"] for entry in listed["manifests"]] == [signature.digest]


async def test_without_the_tag_too_there_are_none(alpine: Image, seen: Seen) -> None:
    with Upstream(referrers_api=False) as old:
        old.add(ALPINE, alpine, "latest")
        async with asking(old.url, seen) as client:
            listed = json.loads(await client.referrers(ALPINE, parse_digest(alpine.digest)))
    assert listed == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    assert seen.requests == [("referrers", "4xx"), ("manifest", "4xx")]


async def test_a_fallback_tag_that_is_no_index(alpine: Image) -> None:
    digest = parse_digest(alpine.digest)
    with Upstream(referrers_api=False) as old:
        old.add(ALPINE, alpine, str(fallback_tag(digest)))
        async with asking(old.url) as client:
            with pytest.raises(UpstreamFailure) as caught:
                await client.referrers(ALPINE, digest)
    assert (caught.value.kind, caught.value.reason) == (FailureKind.INVALID, "bad_list")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(503), FailureKind.OUTAGE),
        (Status(429), FailureKind.LIMITED),
        (Status(403), FailureKind.ACCOUNT),
        (WithHeaders({"Content-Encoding": "gzip"}), FailureKind.INVALID),
        (Body(blob(b"{}", "application/json")), FailureKind.INVALID),
    ],
)
async def test_a_failure_is_not_taken_for_no_referrers(
    rig: Upstream, alpine: Image, fault: Fault, kind: FailureKind
) -> None:
    rig.fault("referrers/*", fault)
    async with asking(rig.url) as client:
        with pytest.raises(UpstreamFailure) as caught:
            await client.referrers(ALPINE, parse_digest(alpine.digest))
    assert caught.value.kind is kind


def test_fallback_tags_are_tags() -> None:
    long = parse_digest(image(algorithm="sha512").digest)
    short = parse_digest(index().digest)
    assert fallback_tag(short) == Tag(str(short).replace(":", "-"))
    assert str(fallback_tag(long)) == f"sha512-{long.hex[:64]}"
