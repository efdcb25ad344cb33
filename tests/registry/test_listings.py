"""Pages of tags, and referrers: every page joined to the next gives all, whatever the pages are."""

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_core.errors import NameInvalid
from proxy_core.reference import Image
from proxy_core.registry.listings import answer_referrers, answer_tags
from proxy_core.registry.replies import Reply
from proxy_core.registry.request import Place, ReferrersRequest, TagsRequest, parse_target
from tests.cache.conftest import Place as Cache
from tests.cache.conftest import Worker
from tests.cache.upstream import ALPINE, OTHER_ALPINE, fetched, manifest
from tests.rig import images

FIRST = manifest(note="first")
NAME = "my-group/dependency_proxy/containers/alpine"
AT = TagsRequest(Place(ALPINE, NAME))
_tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,5}", fullmatch=True)


async def page(worker: Worker, query: str = "", at: TagsRequest = AT) -> tuple[list[str], str | None]:
    """The tags of a page, and the query of the next one."""
    reply, _ = await answer_tags(at, query.encode(), worker.listings, 0.0)
    assert json.loads(reply.body)["name"] == at.place.wire_name
    link = header(reply, b"link")
    if link is None:
        return json.loads(reply.body)["tags"], None
    assert link.startswith("</v2/")
    assert link.endswith('>; rel="next"')
    target = urlsplit(link[1:].partition(">")[0])
    assert parse_target(target.path.encode(), target.query.encode(), "my-group") == at
    return json.loads(reply.body)["tags"], target.query


def header(reply: Reply, name: bytes) -> str | None:
    values = [value.decode() for key, value in reply.headers if key == name]
    assert len(values) <= 1
    return values[0] if values else None


@given(tags=st.sets(_tags, min_size=1, max_size=20), count=st.integers(1, 25), last=st.text(max_size=4) | _tags)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_joined_are_all_tags_in_order(
    place: Cache, worker: Worker, tags: set[str], count: int, last: str
) -> None:
    place.upstream.named = {(ALPINE.repository.path, tag): FIRST.digest for tag in tags}
    place.clock.wait(1000)
    everything = sorted(tags)
    query: str | None = f"n={count}"
    found: list[list[str]] = []
    while query is not None:
        some, query = await page(worker, query)
        found.append(some)
        assert len(found) <= len(everything)
    assert [tag for some in found for tag in some] == everything
    assert all(len(some) == count for some in found[:-1])
    (rest, _) = await page(worker, f"n=100&last={_quoted(last)}")
    assert rest == [tag for tag in everything if tag > last]


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))


async def test_without_n_a_page_has_a_thousand(place: Cache, worker: Worker) -> None:
    for number in range(1001):
        place.upstream.push(ALPINE, FIRST, f"{number:04}")
    some, query = await page(worker)
    assert (len(some), query) == (1000, "n=1000&last=0999")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("n=0", []),
        ("n=2", ["a", "b"]),
        ("n=0002", ["a", "b"]),
        ("n=2&last=a", ["b", "c"]),
        ("last=", ["a", "b", "c"]),
        ("last=zzz", []),
        ("last=%ff", []),
        ("n=1000000", ["a", "b", "c"]),
        ("n=9999999999999", ["a", "b", "c"]),
        ("n=" + "9" * 10_000, ["a", "b", "c"]),
        ("n=2&n=1", ["a", "b"]),
        ("x=y", ["a", "b", "c"]),
    ],
)
async def test_examples(place: Cache, worker: Worker, query: str, expected: list[str]) -> None:
    for tag in "cab":
        place.upstream.push(ALPINE, FIRST, tag)
    assert (await page(worker, query))[0] == expected


@pytest.mark.parametrize("count", ["", "-1", "x", "1.5", "٣", "0x5", "1e3", "+1", "%20"])
async def test_what_is_no_number_is_refused(place: Cache, worker: Worker, count: str) -> None:
    place.upstream.push(ALPINE, FIRST, "a")
    with pytest.raises(NameInvalid) as caught:
        await page(worker, f"n={count}")
    assert caught.value.status == 400


async def test_links_lead_through_the_door_that_the_client_came_by(place: Cache, worker: Worker) -> None:
    image = Image("my-group", type(ALPINE.repository)("quay.io", "org/app"))
    for tag in "abc":
        place.quay.push(image, FIRST, tag)
    at = TagsRequest(Place(image, "quay.io/org/app", "quay.io"))
    some, query = await page(worker, "ns=quay.io&n=2", at)
    assert (some, query) == (["a", "b"], "n=2&last=b&ns=quay.io")


class TestReferrers:
    """One that is signed twice and described once."""

    @pytest.fixture
    def request_(self, place: Cache) -> ReferrersRequest:
        subject = images.image()
        index = images.referrers_of(
            subject.manifest,
            images.artifact(subject.manifest, artifact_type="application/signature"),
            images.artifact(subject.manifest, artifact_type="application/signature", data=b"again"),
            images.artifact(subject.manifest, artifact_type="application/sbom"),
        )
        digest = fetched(subject.manifest.data).digest
        place.upstream.referring[ALPINE.repository.path, digest] = index.manifest.data
        return ReferrersRequest(Place(ALPINE, NAME), digest)

    async def types(self, worker: Worker, request: ReferrersRequest, query: str) -> tuple[list[str], Reply]:
        reply, _ = await answer_referrers(request, query.encode(), worker.listings, 0.0)
        assert header(reply, b"content-type") == images.OCI_INDEX
        return [one["artifactType"] for one in json.loads(reply.body)["manifests"]], reply

    async def test_all_come_as_the_upstream_gave_them(self, worker: Worker, request_: ReferrersRequest) -> None:
        types, reply = await self.types(worker, request_, "")
        assert types == ["application/signature", "application/signature", "application/sbom"]
        assert header(reply, b"oci-filters-applied") is None

    async def test_a_filter_is_applied_and_said(self, worker: Worker, request_: ReferrersRequest) -> None:
        types, reply = await self.types(worker, request_, "artifactType=application%2Fsbom")
        assert types == ["application/sbom"]
        assert header(reply, b"oci-filters-applied") == "artifactType"
        assert (await self.types(worker, request_, "artifactType=application/none"))[0] == []


async def test_each_group_has_its_own_list(place: Cache, worker: Worker) -> None:
    place.upstream.push(ALPINE, FIRST, "a")
    for image in (ALPINE, OTHER_ALPINE):
        assert (await page(worker, at=TagsRequest(Place(image, NAME))))[0] == ["a"]
    assert place.upstream.count("TAGS") == 2
