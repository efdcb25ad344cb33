"""Names of images as values. What clients write on the wire, groups included: ``tests/access/test_wire_names``."""

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core import reference
from proxy_core.errors import DigestInvalid, NameInvalid, RegistryError
from proxy_core.reference import (
    DOCKER_HUB,
    MAX_NAME,
    Digest,
    Repository,
    Tag,
    canonical_upstream,
    is_registry_host,
    parse_digest,
    parse_group,
    parse_path,
    parse_reference,
    parse_repository,
)

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8
ODD = st.text(st.sampled_from("aB0._-:/@ \n\0é"), max_size=12) | st.text(max_size=300)


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(reference).attempted > 0
    assert doctest.testmod(reference).failed == 0


class TestDigests:
    @pytest.mark.parametrize("text", [SHA256, SHA512])
    def test_both_algorithms_read_back_as_they_were_written(self, text: str) -> None:
        assert str(parse_digest(text)) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":",
            "sha256",
            "sha256:",
            SHA256[:-1],
            SHA256 + "0",
            SHA256.upper(),
            SHA256.replace("a", "A"),
            SHA256.replace("sha256:", "sha512:"),
            SHA256.replace("sha256:", "SHA256:"),
            "md5:" + "0" * 32,
            "sha384:" + "0" * 96,
            SHA256[:-1] + "g",
            SHA256[:40] + "/" + SHA256[41:],
            SHA256 + "\n",
            " " + SHA256,
            "sha256:" + "٣" * 64,
        ],
    )
    def test_what_is_no_digest(self, text: str) -> None:
        with pytest.raises(DigestInvalid) as caught:
            parse_digest(text)
        assert caught.value.status == 400

    @given(ODD)
    def test_any_text_is_a_digest_that_reads_back_or_an_error(self, text: str) -> None:
        try:
            assert str(parse_digest(text)) == text
        except DigestInvalid as error:
            assert len(error.cause) < 1000  # noqa: PT017  # a stranger's text is cut


class TestReferences:
    @pytest.mark.parametrize("text", ["latest", "3.20", "_x", "A-B_c.d", "0", "a" * 128])
    def test_tags(self, text: str) -> None:
        assert parse_reference(text) == Tag(text)
        assert str(Tag(text)) == text

    def test_a_colon_makes_a_digest(self) -> None:
        assert parse_reference(SHA256) == Digest("sha256", SHA256.partition(":")[2])

    @pytest.mark.parametrize("text", ["", ".x", "-x", "a b", "a/b", "a" * 129, "é", "a\n", "a\0", "..", "a%2fb"])
    def test_what_is_no_tag(self, text: str) -> None:
        with pytest.raises(NameInvalid):
            parse_reference(text)

    @given(ODD)
    def test_any_text_reads_back_or_is_an_error_of_400(self, text: str) -> None:
        try:
            assert str(parse_reference(text)) == text
        except RegistryError as error:
            assert error.status == 400  # noqa: PT017  # whichever it is


class TestPaths:
    @pytest.mark.parametrize("text", ["a", "library/alpine", "a.b/c_d/e__f/g-h/i---j", "0/1", "a" * MAX_NAME])
    def test_repositories(self, text: str) -> None:
        assert parse_path(text) == text

    @pytest.mark.parametrize(
        "text",
        ["", "/", "a/", "/a", "a//b", "A", "a..b", "a/../b", ".a", "a.", "a___b", "a_-b", "a b", "a\n", "a" * 256, "ä"],
    )
    def test_what_is_no_repository(self, text: str) -> None:
        with pytest.raises(NameInvalid):
            parse_path(text)

    @pytest.mark.parametrize("text", ["g", "g/sub/sub", ".hidden", "_x", "a.b", "a-", "g" * MAX_NAME])
    def test_groups(self, text: str) -> None:
        assert parse_group(text) == text

    @pytest.mark.parametrize(
        "text", ["", "/g", "g/", "g//h", "G", "-g", "g.", ".", "..", "g/..", "a.git", "a.atom", "g h", "g" * 256]
    )
    def test_what_is_no_group(self, text: str) -> None:
        with pytest.raises(NameInvalid):
            parse_group(text)

    @given(ODD)
    def test_what_gets_through_can_stand_in_an_address_and_in_a_folder(self, text: str) -> None:
        for parse in (parse_path, parse_group):
            try:
                parse(text)
            except NameInvalid:
                continue
            assert re.fullmatch(r"[a-z0-9._/-]+", text)
            assert not {"", ".", ".."} & set(text.split("/"))


class TestRepositories:
    @pytest.mark.parametrize(
        ("text", "upstream", "path"),
        [
            ("alpine", DOCKER_HUB, "library/alpine"),
            ("library/alpine", DOCKER_HUB, "library/alpine"),
            ("docker.io/alpine", DOCKER_HUB, "library/alpine"),
            ("index.docker.io/alpine", DOCKER_HUB, "library/alpine"),
            ("registry-1.docker.io/org/app", DOCKER_HUB, "org/app"),
            ("org/app", DOCKER_HUB, "org/app"),
            ("quay.io/org/app", "quay.io", "org/app"),
            ("quay.io/app", "quay.io", "app"),
            ("harbor:5000/app", "harbor:5000", "app"),
            ("localhost/app", "localhost", "app"),
            ("localhost", DOCKER_HUB, "library/localhost"),
            ("a.b", DOCKER_HUB, "library/a.b"),
        ],
    )
    def test_what_names_without_and_with_a_registry_mean(self, text: str, upstream: str, path: str) -> None:
        parsed = parse_repository(text)
        assert parsed == Repository(upstream, path)
        assert parse_repository(str(parsed)) == parsed

    @pytest.mark.parametrize(
        "text", ["Quay.io/app", "quay.io:/app", "quay.io:123456/app", "a..b/app", "-a.b/x", "alpine:3"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(NameInvalid):
            parse_repository(text)

    def test_what_is_a_registry_and_what_a_namespace(self) -> None:
        assert all(map(is_registry_host, ["quay.io", "h:1", "localhost", "10.0.0.1", "a-b.c:65535"]))
        assert not any(map(is_registry_host, ["library", "a-b", "", ":1", "é.io", "a.b-", "a_b.c"]))

    def test_docker_hubs_many_hosts_are_one_upstream(self) -> None:
        assert canonical_upstream("registry-1.docker.io") == DOCKER_HUB == canonical_upstream("docker.io")
        assert canonical_upstream("quay.io") == "quay.io"

    @given(ODD)
    def test_any_text_reads_back_or_is_an_error(self, text: str) -> None:
        try:
            parsed = parse_repository(text)
        except NameInvalid:
            return
        assert parse_repository(str(parsed)) == parsed
