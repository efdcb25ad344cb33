"""A request as a value: whatever comes, it is read as one thing or refused with a cause."""

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_core.errors import DigestInvalid, NameInvalid, NameUnknown, RegistryError, Unsupported
from proxy_core.reference import Image, Reference, Repository, Tag, parse_digest, parse_wire_name
from proxy_core.registry.request import (
    BlobRequest,
    Headers,
    ManifestRequest,
    Ping,
    Place,
    PullRequest,
    ReferrersRequest,
    TagsRequest,
    parse_headers,
    parse_target,
    refuse_method,
)
from tests.access.names import wire_texts

SHA256 = "sha256:" + "ab" * 32
SHA512 = "sha512:" + "ab" * 64
ALPINE = "g/dependency_proxy/containers/alpine"


def image(upstream: str, path: str, group: str = "g") -> Image:
    return Image(group, Repository(upstream, path))


def parse(path: str, query: str = "", mirror: str | None = None) -> Ping | PullRequest:
    return parse_target(path.encode(), query.encode(), mirror)


def place(path: str, query: str = "", mirror: str | None = None) -> Place:
    target = parse(path, query, mirror)
    assert not isinstance(target, Ping)
    return target.place


class TestPaths:
    @pytest.mark.parametrize("path", ["/v2", "/v2/", "/v%32/"])
    def test_is_this_a_registry(self, path: str) -> None:
        assert parse(path) == Ping()

    @pytest.mark.parametrize(
        ("text", "reference"),
        [("latest", Tag("latest")), (SHA256, parse_digest(SHA256)), (SHA512, parse_digest(SHA512))],
    )
    def test_manifests(self, text: str, reference: Reference) -> None:
        expected = ManifestRequest(Place(image("docker.io", "library/alpine"), ALPINE), reference)
        assert parse(f"/v2/{ALPINE}/manifests/{text}") == expected
        assert parse(f"/v2/{ALPINE}/manifests/{text.replace(':', '%3A')}") == expected

    def test_blobs_referrers_and_tags(self) -> None:
        at = Place(image("docker.io", "library/alpine"), ALPINE)
        assert parse(f"/v2/{ALPINE}/blobs/{SHA256}") == BlobRequest(at, parse_digest(SHA256))
        assert parse(f"/v2/{ALPINE}/referrers/{SHA512}") == ReferrersRequest(at, parse_digest(SHA512))
        assert parse(f"/v2/{ALPINE}/tags/list", "n=5&last=x") == TagsRequest(at)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("a/b/c/d/dependency_proxy/containers/x", image("docker.io", "library/x", "a/b/c/d")),
            ("g/dependency_proxy/containers/quay.io/a/b/c/d", image("quay.io", "a/b/c/d")),
            ("g/dependency_proxy/containers/tags", image("docker.io", "library/tags")),
            ("g/dependency_proxy/containers/blobs/manifests", image("docker.io", "blobs/manifests")),
        ],
    )
    def test_any_number_of_segments_and_names_that_look_like_routes(self, name: str, expected: Image) -> None:
        assert place(f"/v2/{name}/manifests/latest").image == expected

    @pytest.mark.parametrize(
        "path",
        [
            "/v2/x",
            "/v2//",
            "/v2/_catalog",
            "/v2/manifests/latest",
            f"/v2/{ALPINE}",
            f"/v2/{ALPINE}/tags",
            f"/v2/{ALPINE}/tags/all",
            f"/v2/{ALPINE}/manifests",
            f"/v2/{ALPINE}/blobs/uploads/",
            "/v2/alpine/manifests/latest",
            "/v2/library/alpine/manifests/latest",
        ],
    )
    def test_what_is_not_here(self, path: str) -> None:
        with pytest.raises(NameUnknown) as caught:
            parse(path)
        assert caught.value.fix

    @pytest.mark.parametrize(
        "path",
        [
            "/v2/G/dependency_proxy/containers/alpine/manifests/latest",
            "/v2/g/dependency_proxy/containers/Alpine/manifests/latest",
            "/v2/g/dependency_proxy/containers/../alpine/manifests/latest",
            "/v2/g/dependency_proxy/containers/%2e%2e/alpine/manifests/latest",
            "/v2/g/dependency_proxy/containers/a%2Fb/manifests/latest",
            "/v2/g/dependency_proxy/containers/a%2fb/manifests/latest",
            "/v2/g/dependency_proxy/containers/alpine%00/manifests/latest",
            "/v2/g/dependency_proxy/containers/alpine%0a/manifests/latest",
            "/v2/g/dependency_proxy/containers/alpine/manifests/la%20test",
            "/v2/g/dependency_proxy/containers/alpine/manifests/%ff%fe",
            "/v2/g/dependency_proxy/containers/älpine/manifests/latest",
            "/v2/g/dependency_proxy/containers/alpine/manifests/.hidden",
            "/v2/g/dependency_proxy/containers/alpine/manifests/",
            f"/v2/g/dependency_proxy/containers/{'a' * 300}/manifests/latest",
            f"/v2/g/dependency_proxy/containers/alpine/manifests/{'a' * 129}",
            f"/v2/{'a/' * 5000}dependency_proxy/containers/alpine/manifests/latest",
        ],
    )
    def test_what_the_grammar_does_not_allow(self, path: str) -> None:
        with pytest.raises(NameInvalid):
            parse(path)

    @pytest.mark.parametrize("digest", ["sha256:abc", "md5:" + "a" * 32, SHA256.upper(), "latest", SHA256 + "0"])
    @pytest.mark.parametrize("resource", ["blobs", "referrers"])
    def test_what_is_no_digest(self, resource: str, digest: str) -> None:
        with pytest.raises(DigestInvalid):
            parse(f"/v2/{ALPINE}/{resource}/{digest}")


class TestMirrorDoors:
    @pytest.mark.parametrize(
        ("name", "query", "expected", "wire_name"),
        [
            ("library/alpine", "", image("docker.io", "library/alpine"), "library/alpine"),
            ("alpine", "ns=docker.io", image("docker.io", "library/alpine"), "alpine"),
            ("library/alpine", "ns=registry-1.docker.io", image("docker.io", "library/alpine"), "library/alpine"),
            ("org/app", "ns=quay.io", image("quay.io", "org/app"), "quay.io/org/app"),
            ("app", "ns=quay.io", image("quay.io", "app"), "quay.io/app"),
            ("org/app", "ns=harbor%3A5000", image("harbor:5000", "org/app"), "harbor:5000/org/app"),
            ("org/app", "ns=localhost", image("localhost", "org/app"), "localhost/org/app"),
            ("org/app", "ns=QUAY.io", image("quay.io", "org/app"), "quay.io/org/app"),
            ("org/app", "n=1&ns=quay.io&ns=ghcr.io", image("quay.io", "org/app"), "quay.io/org/app"),
            ("org/app", "ns=", image("docker.io", "org/app"), "org/app"),
            ("org/app", "nsx=quay.io", image("docker.io", "org/app"), "org/app"),
        ],
    )
    def test_which_image_is_meant_and_what_the_scope_must_say(
        self, name: str, query: str, expected: Image, wire_name: str
    ) -> None:
        at = place(f"/v2/{name}/manifests/latest", query, mirror="g")
        assert (at.image, at.wire_name) == (expected, wire_name)

    def test_a_registry_may_be_named_beside_a_group_too(self) -> None:
        at = place(f"/v2/{ALPINE}/manifests/latest", "ns=quay.io")
        assert at.image == image("quay.io", "alpine")
        assert at.wire_name == "g/dependency_proxy/containers/quay.io/alpine"

    @pytest.mark.parametrize("query", ["ns=quay", "ns=../x", "ns=quay.io/x", "ns=%00", "ns=a b.c", "ns=" + "a" * 5000])
    def test_what_is_no_registry(self, query: str) -> None:
        with pytest.raises(NameInvalid):
            parse("/v2/library/alpine/manifests/latest", query, mirror="g")

    @pytest.mark.parametrize("name", ["localhost:5000/x", "quay.io:1/x/y"])
    def test_a_registry_in_the_path_is_no_path_of_another_one(self, name: str) -> None:
        with pytest.raises(NameInvalid):
            parse(f"/v2/{name}/manifests/latest", "ns=docker.io", mirror="g")

    def test_closed_they_lead_nowhere(self) -> None:
        with pytest.raises(NameUnknown, match="names no group"):
            parse("/v2/library/alpine/manifests/latest", "ns=docker.io")


_resources = st.sampled_from(["manifests", "blobs", "tags", "referrers"])
_paths = (
    st.binary(max_size=60).map(lambda raw: b"/v2/" + raw)
    | st.builds("/v2/{}/{}/{}".format, wire_texts, _resources, wire_texts).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
    | st.builds(
        "/v2/{}/{}".format,
        wire_texts,
        st.sampled_from(["manifests/latest", "tags/list", f"blobs/{SHA256}", f"manifests/{SHA512}"]),
    ).map(lambda text: quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="/").encode())
)
_queries = st.binary(max_size=30) | st.sampled_from(
    [b"", b"ns=quay.io", b"ns=docker.io", b"ns=localhost:5000", b"ns=\xff", b"ns=a.b&ns=c.d", b"%6es=quay.io"]
)


@given(raw_path=_paths, query=_queries, mirror=st.sampled_from([None, "g"]))
@example(b"/v2/%", b"ns=%", None)
@example(b"/v2/localhost:5000/x/tags/list", b"ns=docker.io", "g")
def test_any_bytes_are_read_as_one_thing_or_refused(raw_path: bytes, query: bytes, mirror: str | None) -> None:
    """And what they are read as has a wire name that means the same image, so that a token's scope can name it."""
    try:
        target = parse_target(raw_path, query, mirror)
    except RegistryError as error:
        assert error.status in (400, 404)  # noqa: PT017  # whichever it is
        assert error.cause  # noqa: PT017
        return
    if not isinstance(target, Ping):
        assert parse_wire_name(target.place.wire_name, mirror) == target.place.image


class TestHeaders:
    def test_six_accept_lines_are_kept_in_order(self) -> None:
        lines = [(b"accept", b"application/%d" % number) for number in range(6)]
        headers = parse_headers([(b"host", b"x"), *lines, (b"user-agent", b"skopeo")])
        assert headers.accept == tuple(value for _, value in lines)

    def test_of_others_the_first_counts(self) -> None:
        headers = parse_headers(
            [
                (b"authorization", b"Bearer a"),
                (b"authorization", b"Bearer b"),
                (b"range", b"bytes=0-1"),
                (b"range", b"bytes=5-"),
                (b"if-range", b'"x"'),
                (b"if-none-match", b"*"),
            ]
        )
        assert headers == Headers(b"Bearer a", (), b"*", b"bytes=0-1", b'"x"')

    def test_none_is_needed(self) -> None:
        assert parse_headers([]) == Headers()


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "X", "get"])
def test_only_get_and_head_are_taken(method: str) -> None:
    with pytest.raises(Unsupported) as caught:
        refuse_method(method)
    assert caught.value.status == 405
    assert caught.value.headers == {"Allow": "GET, HEAD"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_these_are(method: str) -> None:
    refuse_method(method)
