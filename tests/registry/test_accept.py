"""What clients say they take: in six lines or in one, it is the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.registry.accept import is_index, parse_accept, wants_one_platform
from tests.rig.images import DOCKER_LIST, DOCKER_MANIFEST, MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST

_types = st.sampled_from([*MANIFEST_TYPES, "*/*", "application/*", "application/json"])
_elements = st.builds("{}{}".format, _types, st.sampled_from(["", ";q=0.5", "; q=1", " ;q=0", ";v=1;q=0.0"]))


@given(st.lists(_elements, max_size=8), st.data())
def test_however_it_is_cut_into_lines_it_is_the_same(elements: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(elements)))))
    bounds = [0, *cuts, len(elements)]
    lines = [", ".join(elements[start:end]) for start, end in pairwise(bounds)]
    assert parse_accept(lines) == parse_accept([",".join(elements)]) == parse_accept(elements)


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_text_is_read(lines: list[str]) -> None:
    assert all(parse_accept(lines))


def test_weights_of_zero_refuse_and_others_do_not_matter() -> None:
    assert parse_accept([f"{OCI_INDEX};q=0, {OCI_MANIFEST};q=0.001;x=y, TEXT/Plain ; q=0.000"]) == {OCI_MANIFEST}
    assert parse_accept(["", " , ,", ";q=1"]) == frozenset()


@pytest.mark.parametrize(
    ("accepted", "one_platform"),
    [
        ([DOCKER_MANIFEST], True),
        ([OCI_MANIFEST, "application/json"], True),
        ([DOCKER_MANIFEST, DOCKER_LIST], False),
        ([OCI_MANIFEST, OCI_INDEX], False),
        ([OCI_MANIFEST, "*/*"], False),
        ([OCI_MANIFEST, "application/*"], False),
        (["*/*"], False),
        ([], False),
        (["text/html"], False),
        ([OCI_INDEX], False),
    ],
)
def test_who_gets_one_platform_of_an_index(accepted: list[str], one_platform: bool) -> None:
    assert wants_one_platform(parse_accept(accepted)) is one_platform


def test_indexes_are_known_by_their_types() -> None:
    assert [is_index(each) for each in MANIFEST_TYPES] == [False, True, False, True]
