"""The ``scope`` parameters of a token request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.access.scopes import MAX_SCOPES, images_asked, wire_name
from proxy_core.errors import Unsupported
from proxy_core.reference import Image, format_wire_name, parse_wire_name
from tests.access.names import images, wire_texts

ALPINE = parse_wire_name("g/dependency_proxy/containers/alpine")
APP = parse_wire_name("g/dependency_proxy/containers/harbor.internal:8443/org/app")
ALPINE_SCOPE = "repository:g/dependency_proxy/containers/alpine:pull"
APP_SCOPE = "repository:g/dependency_proxy/containers/harbor.internal:8443/org/app:pull"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ()),
        ([""], ()),
        ([ALPINE_SCOPE], (ALPINE,)),
        ([ALPINE_SCOPE, APP_SCOPE], (ALPINE, APP)),
        ([f"{ALPINE_SCOPE} {APP_SCOPE}"], (ALPINE, APP)),
        ([f" {APP_SCOPE}  {ALPINE_SCOPE} "], (APP, ALPINE)),
        ([ALPINE_SCOPE, ALPINE_SCOPE.replace("alpine", "library/alpine")], (ALPINE,)),
        ([ALPINE_SCOPE.replace(":pull", ":push,pull")], (ALPINE,)),
        ([ALPINE_SCOPE.replace(":pull", ":push")], ()),
        ([ALPINE_SCOPE.replace(":pull", ":*")], ()),
        ([ALPINE_SCOPE.replace(":pull", ":")], ()),
        ([ALPINE_SCOPE.replace(":pull", "")], ()),
        ([ALPINE_SCOPE.replace("repository:", "repository(plugin):")], ()),
        (["registry:catalog:*", "repository", "repository:", "repository::pull", ":::", ALPINE_SCOPE], (ALPINE,)),
        (["repository:library/alpine:pull"], ()),
        (["repository:g/dependency_proxy/containers/../x:pull"], ()),
    ],
)
def test_scopes_and_the_images_they_ask_for(values: list[str], expected: tuple[Image, ...]) -> None:
    assert images_asked(values, mirror=None) == expected


def test_names_without_a_group_are_the_mirrors() -> None:
    asked = images_asked(["repository:library/alpine:pull repository:quay.io/org/app:pull"], mirror="g")
    assert asked == (ALPINE, parse_wire_name("g/dependency_proxy/containers/quay.io/org/app"))


@pytest.mark.parametrize(
    "values",
    [
        ["x"] * (MAX_SCOPES + 1),
        [" ".join(["x"] * (MAX_SCOPES + 1))],
        ["x" * 100_000],
        ["x" * 1000] * 9,
    ],
    ids=["many parameters", "many in one", "a long one", "long together"],
)
def test_more_than_a_token_can_hold_is_refused(values: list[str]) -> None:
    with pytest.raises(Unsupported, match=f"at most {MAX_SCOPES}") as caught:
        images_asked(values, mirror=None)
    assert caught.value.status == 400


@given(st.lists(images, max_size=MAX_SCOPES, unique=True))
def test_every_image_can_be_asked_for(asked: list[Image]) -> None:
    asked = [image for image in asked if wire_name(format_wire_name(image), None) == image]
    scopes = [f"repository:{format_wire_name(image)}:pull" for image in asked]
    assert images_asked(scopes, mirror=None) == tuple(asked)
    assert images_asked([" ".join(scopes)], mirror=None) == tuple(asked)


@given(st.lists(st.text(max_size=60) | wire_texts.map("repository:{}:pull".format), max_size=4))
def test_any_text_asks_for_images_or_for_nothing(values: list[str]) -> None:
    for image in images_asked(values, mirror="mirror"):
        assert wire_name(format_wire_name(image), None) == image


@given(st.text(max_size=30).filter(lambda text: " " not in text))
def test_what_is_not_understood_takes_nothing_from_the_rest(noise: str) -> None:
    if noise != ALPINE_SCOPE:
        assert ALPINE in images_asked([f"{noise} {ALPINE_SCOPE} {noise}"], mirror=None)
