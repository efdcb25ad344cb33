"""YAML and JSON, with the lines on which keys stand."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.settings.document import MAX_VALUES, NotADocument, parse


def test_keys_and_items_have_their_lines() -> None:
    document = parse("a:\n  b: [1,\n      2]\n  c: {d: x}\n")
    assert document.value == {"a": {"b": [1, 2], "c": {"d": "x"}}}
    assert document.lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 2,
        ("a", "b", 1): 3,
        ("a", "c"): 4,
        ("a", "c", "d"): 4,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("~", None),
        ("", None),
        ("12", 12),
        ("0600", "0600"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("2026-11-24", "2026-11-24"),
        ("'12'", "12"),
        ('"true"', "true"),
    ],
)
def test_plain_values_mean_what_they_look_like(text: str, value: object) -> None:
    found = parse(f"key: {text}").value["key"]
    assert found == value
    assert type(found) is type(value)


def test_a_name_is_text_also_where_it_looks_like_something_else() -> None:
    assert parse("{12: a, true: b, ~: c}").value == {"12": "a", "true": "b", "~": "c"}


def test_a_key_that_stands_twice_is_found_with_both_lines() -> None:
    document = parse("a: 1\nb: 2\na: 3\n")
    (finding,) = document.findings
    assert finding.path == ("a",)
    assert "twice" in finding.cause
    assert "line 1" in finding.cause
    assert document.lines["a",] == 3


def test_an_alias_stands_for_what_it_names() -> None:
    assert parse("a: &x {k: 1}\nb: *x\n").value == {"a": {"k": 1}, "b": {"k": 1}}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\n", 3, "flow sequence"),
        ("a: 1\n\tb: 2\n", 2, "YAML"),
        ("a: *nobody\n", 1, "alias"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: \x07\n", 2, "character"),
        ("a: &x [*x]\n", 1, "aliases"),
        ("[" * 100_000, 1, "nested"),
        ("{a: " * 100_000, 1, "nested"),
    ],
)
def test_what_can_not_be_read_is_named_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(NotADocument) as caught:
        parse(text)
    assert caught.value.line == line
    assert words in caught.value.cause
    assert caught.value.fix


def test_a_billion_laughs_end_early() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(NotADocument, match=str(MAX_VALUES)):
        parse("\n".join(lines))


@pytest.mark.parametrize("value", ["!!python/object/apply:os.system [id]", "!secret x", "!!int x", "!!binary aGk="])
def test_tags_build_nothing(value: str) -> None:
    document = parse(f"a: {value}")
    assert document.value == {"a": None}
    assert "tag" in document.findings[0].cause


def test_what_was_written_is_not_repeated_in_an_error() -> None:
    for text in (
        "password: 'hunter2",
        "password: *hunter2",
        "password: {hunter2",
        "password: @hunter2",
        "hunter2: : :",
    ):
        with pytest.raises(NotADocument) as caught:
            parse(text)
        assert "hunter2" not in caught.value.cause + caught.value.fix


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(codec="ascii"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-./", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_json_is_read_as_json(value: Any) -> None:
    assert parse(json.dumps(value)).value == value


@given(st.text(max_size=200))
def test_any_text_is_a_document_or_is_refused(text: str) -> None:
    with contextlib.suppress(NotADocument):
        parse(text)
