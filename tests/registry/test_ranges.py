"""``Range`` and ``If-Range``: held against a model that knows RFC 9110 and nothing of how it is done."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_core.errors import RangeNotSatisfiable
from proxy_core.registry.ranges import Span, parse_range, still_holds

ETAG = f'"sha256:{"a" * 64}"'
_numbers = st.integers(0, 30).map(str) | st.sampled_from(["", "007", "18446744073709551616", "9" * 60])
_values = (
    st.builds("bytes={}-{}".format, _numbers, _numbers)
    | st.builds("{}={}-{}".format, st.sampled_from(["bytes", "Bytes", "items", "", "bytes "]), _numbers, _numbers)
    | st.text("bytes=-0123456789, ", max_size=14)
    | st.text(max_size=8)
)


def naive(value: str, size: int) -> bytes | type[RangeNotSatisfiable] | None:
    """The part of a body whose byte number n is n that RFC 9110 means; ``None``: the header does not count."""
    body = bytes(number % 256 for number in range(size))
    found = re.fullmatch(r"\s*bytes\s*=\s*(?:(\d+)-(\d*)|-(\d+))\s*", value, re.IGNORECASE | re.ASCII)
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return body[-int(suffix) :] if int(suffix) else RangeNotSatisfiable
    part = body[int(first) : int(last) + 1] if last else body[int(first) :]
    return part or RangeNotSatisfiable


@given(value=_values, size=st.integers(1, 25))
@example("bytes=5-4", 25)
@example("bytes=0-9223372036854775807", 25)
@example("bytes=-0", 25)
@example("bytes=25-", 25)
@example("bytes=24-", 25)
@example("bytes=0-0,5-6", 25)
def test_means_what_the_rfc_says(value: str, size: int) -> None:
    body = bytes(number % 256 for number in range(size))
    expected = naive(value, size)
    wanted = parse_range(value)
    if wanted is None:
        assert expected is None
    elif expected is RangeNotSatisfiable:
        with pytest.raises(RangeNotSatisfiable) as caught:
            wanted.within(size)
        assert caught.value.status == 416
        assert caught.value.headers == {"Content-Range": f"bytes */{size}"}
    else:
        span = wanted.within(size)
        assert span.end is not None
        assert 0 <= span.start < span.end <= size
        assert body[span.start : span.end] == expected


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=10-", Span(10, 100)),
        ("bytes=90-1000", Span(90, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-1000", Span(0, 100)),
        ("BYTES = 1-2 ", Span(1, 3)),
    ],
)
def test_examples(value: str, span: Span) -> None:
    wanted = parse_range(value)
    assert wanted is not None
    assert wanted.within(100) == span


@pytest.mark.parametrize(
    "value",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "items=0-1", "bytes=0-1,3-4", "bytes=٣-٤", "0-1"],
)
def test_what_is_ignored(value: str) -> None:
    assert parse_range(value) is None


def test_a_number_of_a_megabyte_takes_no_time() -> None:
    assert parse_range("bytes=0-" + "9" * 1_000_000) is None


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (None, True),
        (ETAG, True),
        (f" {ETAG} ", True),
        (f"W/{ETAG}", False),
        (ETAG.strip('"'), False),
        ('"another"', False),
        ("", False),
        ("*", False),
        ("Wed, 21 Oct 2026 07:28:00 GMT", False),
    ],
)
def test_if_range_holds_for_this_very_entity_tag_alone(if_range: str | None, holds: bool) -> None:
    assert still_holds(if_range, ETAG) is holds
