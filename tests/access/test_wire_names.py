"""What clients call an image on the wire, in all doors."""

import pytest
from hypothesis import example, given

from proxy_core.errors import NameInvalid, NameUnknown, RegistryError
from proxy_core.reference import WIRE_MARKER, Image, Repository, format_wire_name, parse_wire_name
from tests.access.names import groups, paths, wire_texts


def image(group: str, upstream: str, path: str) -> Image:
    return Image(group, Repository(upstream, path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g/dependency_proxy/containers/alpine", image("g", "docker.io", "library/alpine")),
        ("g/dependency_proxy/containers/library/alpine", image("g", "docker.io", "library/alpine")),
        ("g/dependency_proxy/containers/docker.io/alpine", image("g", "docker.io", "library/alpine")),
        ("g/dependency_proxy/containers/quay.io/org/app", image("g", "quay.io", "org/app")),
        ("g/dependency_proxy/containers/a/b/c/d/e/f/g", image("g", "docker.io", "a/b/c/d/e/f/g")),
        ("g/dependency_proxy/containers/h:8443/app", image("g", "h:8443", "app")),
        ("a.b/_c/d/dependency_proxy/containers/alpine", image("a.b/_c/d", "docker.io", "library/alpine")),
        ("dependency_proxy/dependency_proxy/containers/x/y", image("dependency_proxy", "docker.io", "x/y")),
        # GitLab's route takes all it can for the group.
        (
            "g/dependency_proxy/containers/a/dependency_proxy/containers/b",
            image("g/dependency_proxy/containers/a", "docker.io", "library/b"),
        ),
        (
            "g/dependency_proxy/containers/dependency_proxy/containers/b",
            image("g/dependency_proxy/containers", "docker.io", "library/b"),
        ),
        # The door of the mirrors.
        ("library/alpine", image("mirror", "docker.io", "library/alpine")),
        ("alpine", image("mirror", "docker.io", "library/alpine")),
        ("quay.io/org/app", image("mirror", "quay.io", "org/app")),
        ("dependency_proxy/app", image("mirror", "docker.io", "dependency_proxy/app")),
    ],
)
def test_names_and_what_they_mean(text: str, expected: Image) -> None:
    assert parse_wire_name(text, mirror="mirror") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "g/dependency_proxy/containers/",
        "/dependency_proxy/containers/alpine",
        "dependency_proxy/containers/alpine",
        "g//dependency_proxy/containers/alpine",
        "G/dependency_proxy/containers/alpine",
        "g/dependency_proxy/containers/Alpine",
        "g/dependency_proxy/containers/../x/alpine",
        "g/../h/dependency_proxy/containers/alpine",
        "g/./h/dependency_proxy/containers/alpine",
        "g./dependency_proxy/containers/alpine",
        "-/dependency_proxy/containers/alpine",
        "g/dependency_proxy/containers/al\0pine",
        "g/dependency_proxy/containers/alpine\n",
        "g/dependency_proxy/containers/alpine:latest",
        "g/dependency_proxy/containers/älpine",
        "g/dependency_proxy/containers/a%2fb",
        "g/dependency_proxy/containers/" + "a" * 300,
        "g" * 300 + "/dependency_proxy/containers/alpine",
        "a/" * 100_000 + "b",
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(NameInvalid) as caught:
        parse_wire_name(text, mirror="mirror")
    assert caught.value.fix
    assert len(caught.value.cause) < 200


def test_a_name_without_a_group_is_unknown_while_the_door_of_the_mirrors_is_closed() -> None:
    with pytest.raises(NameUnknown, match=r"'library/alpine' names no group.*<group>/dependency_proxy/containers"):
        parse_wire_name("library/alpine")


@given(groups, paths)
def test_every_group_and_repository_has_one_name(group: str, path: str) -> None:
    text = f"{group}{WIRE_MARKER}docker.io/{path}"
    expected = image(group, "docker.io", path if "/" in path else f"library/{path}")
    if WIRE_MARKER not in f"/{path}":
        assert parse_wire_name(text) == expected


@given(wire_texts)
@example("dependency_proxy/containers/dependency_proxy/containers/x")
@example("quay.io/dependency_proxy/containers/x")
def test_any_text_is_read_as_one_image_that_reads_back_from_its_full_name_or_not_at_all(text: str) -> None:
    try:
        parsed = parse_wire_name(text, mirror="mirror")
    except RegistryError as error:
        assert error.status == 400  # noqa: PT017  # whichever it is
        return
    assert parse_wire_name(format_wire_name(parsed)) == parsed
    assert parse_wire_name(format_wire_name(parsed), mirror="elsewhere") == parsed
